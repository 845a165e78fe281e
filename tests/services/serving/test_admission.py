import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from masking.errors import DeadlineExceeded
from mlops.metrics import Metrics
from services.asgi.errors import Busy
from services.serving.admission import FIRST_GUESS_SECONDS, IMAGE, WEIGHT, Admission, Patience
from services.serving.watch import StageWatch
from tests.patience import PATIENCE_SECONDS, until_true

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
        await until_true(lambda: metrics.registry.get_sample_value("masker_queue_depth") == 2)
        refused = await client.post(MASK, content=photo, headers=NEW)
        assert not any(each.done() for each in accepted), "it did not wait for those before it"
        assert refused.status_code == 503
        assert refused.json()["type"].endswith("busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert metrics.registry.get_sample_value("masker_queue_depth") == 2
        assert metrics.registry.get_sample_value("masker_shed_total", {"reason": "queue"}) == 1
        assert (await client.get("/livez")).status_code == 200
        detector.gate.set()
        assert [(await answer).status_code for answer in accepted] == [200, 200, 200]
        assert (await client.post(MASK, content=photo, headers=NEW)).status_code == 200


async def test_where_too_much_waits_only_what_was_answered_before_is_looked_up(
    make_async_client: Callable[..., Any], photo: bytes, detector: Any
) -> None:
    async with make_async_client(serving__threads=1, serving__queue_seconds=0.5) as client:
        assert (await client.post(MASK, content=photo)).headers["x-cache"] == "miss"
        detector.gate.clear()
        sent = [asyncio.create_task(client.post(MASK, content=photo, headers=NEW)) for _ in range(60)]
        await until_true(lambda: any(each.done() for each in sent))
        assert (await client.post(MASK, content=b"no picture")).status_code == 503, (
            "nobody looks at what finds no place"
        )
        assert (await client.post(MASK, content=photo)).headers["x-cache"] == "hit-memory"
        detector.gate.set()
        assert {(await answer).status_code for answer in sent} == {200, 503}
        assert (await client.post(MASK, content=b"no picture")).status_code == 415


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
    options = {"serving__threads": 1, "serving__deadline_seconds": 0.5, "serving__queue_seconds": 0.4}
    async with make_async_client(**options) as client:
        detector.gate.clear()
        late = await client.post(MASK, content=photo)
        assert late.status_code == 504
        assert late.json()["type"].endswith("deadline-exceeded")
        assert "search=fast" in late.json()["detail"]
        # The thread still hangs: what comes now waits for it, in vain.
        assert (await client.post(MASK, content=photo, headers=NEW)).status_code == 504
        detector.gate.set()
        told: list[str] = []

        async def answered() -> bool:
            answer = await client.post(MASK, content=photo)
            told.append(answer.headers.get("x-cache", ""))
            return bool(answer.status_code == 200)

        await until_true(answered)
        assert told[-1] == "miss", "the late answer was thrown away"


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
    given = {"threads": 1, "patience": Patience(5.0), "deadline_seconds": PATIENCE_SECONDS, "held_bytes": 100} | options
    return Admission(metrics=Metrics(), **given)


async def test_work_whose_caller_has_gone_never_starts() -> None:
    line = admission()
    blocking, started = asyncio.Event(), []
    caller = Caller()
    loop = asyncio.get_running_loop()

    def block(watch: StageWatch) -> None:
        asyncio.run_coroutine_threadsafe(blocking.wait(), loop).result(PATIENCE_SECONDS)

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
    line = admission(patience=Patience(0.001))
    before = line.wait_seconds()
    least = most = FIRST_GUESS_SECONDS[IMAGE]
    for _ in range(40):
        begun, inside = time.perf_counter(), []

        def work(watch: StageWatch, inside: list[float] = inside) -> None:
            start = time.perf_counter()
            time.sleep(0.002)
            inside.append(time.perf_counter() - start)

        await line.run(work, 1, Caller().request())
        least += WEIGHT * (inside[0] - least)
        most += WEIGHT * (time.perf_counter() - begun - most)
    assert before == line.wait_seconds() == 0, "nobody waits while a thread is free"
    gate = threading.Event()
    running = asyncio.create_task(line.run(lambda watch: gate.wait(PATIENCE_SECONDS), 1, Caller().request()))
    await asyncio.sleep(0)
    assert 0.002 < least <= line.wait_seconds() <= most
    with pytest.raises(Busy):
        await line.run(lambda watch: None, 1, Caller().request())
    gate.set()
    await running
    await line.close()


@pytest.mark.parametrize(
    ("cost", "longest"),
    [(0.0, 0.14), (0.03, 0.11), (0.05, 0.09), (0.1, 0.18), (1.0, 1.8), (5.0, 2.0)],
)
def test_the_wait_leaves_time_for_the_work(cost: float, longest: float) -> None:
    """A small photo is answered in 200 ms; a large one in four times what it takes, and no photo is refused alone."""
    patience = Patience(2.0, 0.2, 4.0)
    assert patience.wait_seconds(cost) == pytest.approx(longest)
    assert Patience(15.0).wait_seconds(cost) == 15.0


async def test_small_work_is_refused_sooner_than_large_work() -> None:
    line = admission(patience=Patience(5.0, 0.2, 4.0))
    blocking = asyncio.Event()
    loop = asyncio.get_running_loop()

    def block(watch: StageWatch) -> None:
        asyncio.run_coroutine_threadsafe(blocking.wait(), loop).result(PATIENCE_SECONDS)

    first = asyncio.create_task(line.run(block, 10, Caller().request()))
    await asyncio.sleep(0.01)
    assert line.wait_seconds() == pytest.approx(0.5)
    with pytest.raises(Busy):
        await line.run(lambda watch: None, 1, Caller().request())
    large = asyncio.create_task(line.run(lambda watch: "done", 10, Caller().request()))
    await asyncio.sleep(0.01)
    blocking.set()
    await first
    assert await large == "done"
    await line.close()


async def test_closing_ends_what_runs_and_drops_what_waits() -> None:
    line = admission()
    begun = threading.Event()

    def work(watch: StageWatch) -> None:
        begun.set()
        while True:
            time.sleep(0.001)
            watch.started("detect")

    tasks = [asyncio.create_task(line.run(work, 1, Caller().request())) for _ in range(3)]
    await until_true(begun.is_set)
    await asyncio.wait_for(line.close(), PATIENCE_SECONDS)
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
