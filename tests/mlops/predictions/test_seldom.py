import logging

import pytest

from mlops.predictions.seldom import Seldom


def test_what_happens_again_and_again_is_told_at_once_and_then_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    seldom = Seldom(logging.getLogger("test"), "lost", "rows", 60.0, lambda: now[0])
    seldom.catch_up()
    for now[0] in (0.0, 1.0, 59.0, 61.0, 62.0):
        seldom.note(2, OSError(28, "full"))
    now[0] = 130.0
    seldom.catch_up()
    seldom.catch_up()
    now[0] = 1000.0
    seldom.note(1, ValueError("other"))
    seldom.note(3, ValueError("other"))
    seldom.catch_up(at_once=True)
    assert [record.rows for record in caplog.records] == [2, 6, 2, 1, 3]
    assert {record.message for record in caplog.records} == {"lost"}
    assert "other" in caplog.records[-1].reason
