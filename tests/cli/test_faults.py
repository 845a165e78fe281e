import errno
import os

import pytest

from cli.faults import words


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a.jpg"), "a.jpg: No such file or directory"),
        (BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), "Broken pipe"),
        (ConnectionError("ws://nowhere cannot be reached"), "ws://nowhere cannot be reached"),
        (ValueError("no number"), "no number"),
    ],
)
def test_a_fault_is_told_in_words(error: Exception, told: str) -> None:
    assert words(error) == told
