import asyncio
from typing import Any

import pytest

from mlops.metrics import Metrics
from services.serving.hot.entry import Waiting
from services.serving.hot.turn import Turn
from tests.patience import until_true


class Idle:
    """A connection that nobody uses; the broken one cannot even be closed."""

    server_state: Any = None

    def __init__(self, is_broken: bool) -> None:
        self.is_broken = is_broken
        self.is_closed = False

    def answer(self, waiting: Waiting, data: bytes, now: float) -> None:
        raise NotImplementedError

    def hand_over(self) -> None:
        raise NotImplementedError

    def close_idle(self) -> None:
        if self.is_broken:
            raise RuntimeError("the transport is in an odd state")
        self.is_closed = True


@pytest.mark.anyio
async def test_one_broken_connection_keeps_no_other_from_being_closed() -> None:
    turn = Turn(None, None, Metrics(), lambda _: None, 1.0, 0.0, 1)  # type: ignore[arg-type]
    broken, first, later = Idle(is_broken=True), Idle(is_broken=False), Idle(is_broken=False)
    turn.idle |= {broken: 0.0, first: 0.0}
    sweeping = asyncio.create_task(turn.sweep())
    await until_true(lambda: first.is_closed)
    turn.idle[later] = 0.0
    await until_true(lambda: later.is_closed)
    sweeping.cancel()
