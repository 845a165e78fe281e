"""Who is let into the threads, and who is refused."""

import asyncio
import threading

import pytest

from services.asgi.errors import Busy
from services.serving.generic.pool import Pool
from tests.patience import PATIENCE_SECONDS

MOST = PATIENCE_SECONDS


def test_what_candidates_cost_keeps_no_champion_out_that_can_be_in_time() -> None:
    gate, done = threading.Event(), list[str]()

    def work() -> None:
        assert gate.wait(PATIENCE_SECONDS)
        done.append("")

    async def queue() -> None:
        pool = Pool(1, MOST)
        runs: list[asyncio.Task[None]] = []

        async def let_in(seconds: float, usual: float | None = None) -> None:
            runs.append(asyncio.create_task(pool.run(work, seconds, usual)))
            await asyncio.sleep(0)
            assert not runs[-1].done()

        for _ in range(3):
            await let_in(MOST / 2, MOST / 100)
        with pytest.raises(Busy):
            await pool.run(work, MOST / 2, MOST / 100)
        # One and a half of what is promised waits: a champion still has a turn before it is too late.
        await let_in(MOST / 100)
        await let_in(MOST)
        with pytest.raises(Busy):
            await pool.run(work, MOST / 100)
        gate.set()
        await asyncio.gather(*runs)
        await pool.close()

    asyncio.run(queue())
    assert len(done) == 5
