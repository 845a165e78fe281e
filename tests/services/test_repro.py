"""The pipeline as a child of the embedded default: whenever a signal comes, nothing of it is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import standalone
from services.standalone import repro

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """As a process in the foreground of a terminal has them; what a test changes is put back."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in HANDLED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a program lies that is taken for DVC; beside it, it writes its process id."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(standalone, "END_SECONDS", 0.5)
    return tmp_path / "dvc"


def write(dvc: Path, script: str) -> None:
    dvc.write_text(f"#!/bin/sh\necho $$ >{dvc.parent}/pid\n{script}\n", encoding="utf-8")
    dvc.chmod(0o755)


def is_gone(dvc: Path) -> bool:
    try:
        os.kill(int((dvc.parent / "pid").read_text(encoding="utf-8")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return False


def test_its_exit_code_is_given(dvc: Path) -> None:
    write(dvc, "exit 7")
    assert repro() == 7
    assert [signal.getsignal(number) for number in HANDLED] == [signal.SIG_DFL] * 3


def test_a_signal_while_it_is_being_started_ends_it(dvc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    class Signalled(subprocess.Popen[bytes]):
        """The signal comes when the child runs, and nobody knows of it yet."""

        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)  # type: ignore[call-overload]
            started.append(self.pid)
            os.kill(os.getpid(), signal.SIGTERM)

    write(dvc, "sleep 600")
    monkeypatch.setattr(subprocess, "Popen", Signalled)
    with pytest.raises(SystemExit, match="143"):
        repro()
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_a_second_signal_does_not_disturb_the_end_of_one_that_is_deaf(dvc: Path) -> None:
    write(dvc, "trap 'kill -INT $PPID' TERM; kill -TERM $PPID; while :; do sleep 0.1; done")
    with pytest.raises(SystemExit, match="143"):
        repro()
    assert is_gone(dvc)


def test_what_is_ignored_ends_nothing(dvc: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    write(dvc, "kill -HUP $PPID; exit 7")
    assert repro() == 7
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
