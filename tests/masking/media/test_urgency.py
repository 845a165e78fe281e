import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.masking.media.videos import copy, make

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how urgent a thread is")


def test_no_encoder_makes_a_process_more_urgent(tmp_path: Path) -> None:
    """SVT-AV1 does where it may, as root: then every thread and process behind it is scheduled in real time."""
    source = make(tmp_path / "in.mkv", "mkv", "libsvtav1")
    during = []

    def look(_: object) -> None:
        for each in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                during.append(os.sched_getscheduler(int(each.name)))

    copy(source, tmp_path / "out.mkv", paint=look)
    assert set(during) == {os.SCHED_OTHER}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
