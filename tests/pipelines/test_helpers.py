"""Processes that work for a stage."""

import subprocess
import sys

import pytest

from tests.patience import PATIENCE_SECONDS

# It has two processes at work, tells of one, and is killed.
KILLED = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pipelines.helpers import end_with_parent

pool = ProcessPoolExecutor(2, get_context(sys.argv[1]), end_with_parent)
works = [pool.submit(os.getppid) for _ in range(2)]
print(works[0].result() == os.getpid(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["spawn", "fork"])
def test_they_do_not_outlive_who_started_them(kind: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, kind], stdout=subprocess.PIPE, text=True)
    try:
        # Its processes have the same standard output, which ends with the last of them.
        told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert (told, process.returncode) == ("True\n", -9)
