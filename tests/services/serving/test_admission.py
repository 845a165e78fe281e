import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from masking.errors import DeadlineExceeded
from mlops.metrics import Metrics
from services.asgi.errors import Busy
from services.serving.admission import Admission
from services.serving.watch import StageWatch

MASK = "/v1/mask/image"
NEW = {"Cache-Control": "no-store"}
pytestmark = pytest.mark.anyio


async def test_when_too_much_waits_new_requests_are_refused_at_once(
    make_async_client: Callable[..., Any], photo: bytes, detector: Any, metrics: Metrics
) -> None:
    # A unit is first taken to cost 50 ms, and this photo is about one: the fourth would wait 100 ms or more.
    async with make_async_client(serving__threads=1, serving__queue_seconds=0.12) as client:
        detector.gate.clear()
        accepted = [asyncio.create_task(client.post(MASK, content=photo, headers=NEW)) for _ in range(3)]
        await detector.asked()
        start = time.perf_counter()
        refused = await client.post(MASK, content=photo, headers=NEW)
        assert time.perf_counter() - start < 1
        assert refused.status_code == 503
        assert refused.json()["type"].endswith("busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert metrics.registry.get_sample_value("masker_queue_depth") == 2
        assert metrics.registry.get_sample_value("masker_shed_total", {"reason": "queue"}) == 1
        assert (await client.get("/livez")).status_code == 200
        detector.gate.set()
        assert [(await answer).status_code for answer in accepted] == [200, 200, 200]
        assert (await client.post(MASK, content=photo, headers=NEW)).status_code == 200


async def test_more_bytes_than_can_be_held_are_refused(
    make_async_client: Callable[..., Any], photo: bytes, detector: Any, metrics: Metrics
) -> None:
    size = len(photo)
    async with make_async_client(limits__image_bytes=size, limits__held_bytes=2 * size) as client:
        detector.gate.clear()
        accepted = [asyncio.create_task(client.post(MASK, content=photo, headers=NEW)) for _ in range(2)]
        await detector.asked()
        await detector.asked()
        assert metrics.registry.get_sample_value("masker_held_bytes") == 2 * size
        refused = await client.post(MASK, content=photo, headers=NEW)
        assert refused.status_code == 503
        assert metrics.registry.get_sample_value("masker_shed_total", {"reason": "bytes"}) == 1
        detector.gate.set()
        assert [(await answer).status_code for answer in accepted] == [200, 200]
        assert metrics.registry.get_sample_value("masker_held_bytes") == 0


async def test_past_the_deadline_the_answer_is_504_and_the_thread_keeps_its_place(
    make_async_client: Callable[..., Any], photo: bytes, detector: Any
) -> None:
    options = {"serving__threads": 1, "serving__deadline_seconds": 0.2, "serving__queue_seconds": 0.1}
    async with make_async_client(**options) as client:
        detector.gate.clear()
        late = await client.post(MASK, content=photo)
        assert late.status_code == 504
        assert late.json()["type"].endswith("deadline-exceeded")
        # The thread still hangs: what comes now waits for it, in vain.
        assert (await client.post(MASK, content=photo, headers=NEW)).status_code == 504
        detector.gate.set()
        for _ in range(100):
            answer = await client.post(MASK, content=photo)
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.01)
        assert answer.headers["x-cache"] == "miss", "the late answer was thrown away"


class Caller:
    """The other end of a request whose body was read: stays on the line until it hangs up."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def request(self) -> Request:
        return Request({"type": "http", "headers": []}, self.receive)


def admission(**options: Any) -> Admission:
    given = {"threads": 1, "queue_seconds": 5.0, "deadline_seconds": 10.0, "held_bytes": 100} | options
    return Admission(metrics=Metrics(), **given)


async def test_work_whose_caller_has_gone_never_starts() -> None:
    line = admission()
    blocking, started = asyncio.Event(), []
    caller = Caller()
    loop = asyncio.get_running_loop()

    def block(watch: StageWatch) -> None:
        asyncio.run_coroutine_threadsafe(blocking.wait(), loop).result(10)

    first = asyncio.create_task(line.run(block, 1, Caller().request()))
    second = asyncio.create_task(line.run(started.append, 1, caller.request()))
    await asyncio.sleep(0.01)
    caller.gone.set()
    with pytest.raises(ClientDisconnect):
        await second
    blocking.set()
    await first
    assert await line.run(lambda watch: "next", 1, Caller().request()) == "next"
    assert started == []
    await line.close()


async def test_running_work_whose_caller_has_gone_ends_at_its_next_stage() -> None:
    line = admission()
    caller, ends = Caller(), []
    loop = asyncio.get_running_loop()

    def work(watch: StageWatch) -> None:
        watch.started("decode")
        loop.call_soon_threadsafe(caller.gone.set)
        try:
            while True:
                time.sleep(0.001)
                watch.started("detect")
        except DeadlineExceeded as end:
            ends.append(end)
            raise

    with pytest.raises(ClientDisconnect):
        await line.run(work, 1, caller.request())
    await line.close()
    assert len(ends) == 1


async def test_the_wait_is_estimated_from_what_work_has_cost() -> None:
    line = admission(queue_seconds=0.001)
    before = line.wait_seconds()
    for _ in range(40):
        await line.run(lambda watch: time.sleep(0.002), 1, Caller().request())
    assert before == line.wait_seconds() == 0, "nobody waits while a thread is free"
    running = asyncio.create_task(line.run(lambda watch: time.sleep(0.3), 1, Caller().request()))
    await asyncio.sleep(0.01)
    assert 0.001 < line.wait_seconds() < 0.05
    with pytest.raises(Busy):
        await line.run(lambda watch: None, 1, Caller().request())
    await running
    await line.close()


async def test_closing_ends_what_runs_and_drops_what_waits() -> None:
    line = admission()

    def work(watch: StageWatch) -> None:
        while True:
            time.sleep(0.001)
            watch.started("detect")

    tasks = [asyncio.create_task(line.run(work, 1, Caller().request())) for _ in range(3)]
    await asyncio.sleep(0.01)
    await asyncio.wait_for(line.close(), 5)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [DeadlineExceeded, Busy, Busy]


async def test_what_is_held_is_given_back_whatever_happens() -> None:
    line = admission(held_bytes=10)
    with pytest.raises(RuntimeError), line.holding() as held:  # noqa: PT012
        held.add(6)
        with pytest.raises(Busy):
            held.add(5)
        raise RuntimeError
    with line.holding() as held:
        held.add(10)
    await line.close()
