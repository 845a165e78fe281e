from pathlib import Path

import pytest

from mlops.metrics import Metrics
from services.serving.generic.directory import Directory
from tests.patience import until_true


@pytest.mark.anyio
async def test_a_look_that_fails_is_not_the_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = Directory(tmp_path / "bundles", Metrics(), "", 0.005, 1.0, lambda *_: None)
    await directory.open()
    (tmp_path / "bundles").symlink_to("bundles")

    def told() -> list[str]:
        """What the directory said; others of this process may say something at the same time."""
        return [record.message for record in caplog.records if record.name == Directory.__module__]

    await until_true(lambda: len(told()) > 2)
    await directory.close()
    assert set(told()) == {"generic endpoints were not looked for"}
