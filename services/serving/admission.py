"""Who gets a thread: work waits in a queue as long as it will be in time, the rest is refused at once.

The wait is estimated as the queued work times its measured cost by threads, and kept below what is promised of work
that costs as much. Each kind of work has threads of its own: a minute of sound takes seconds, and no photo waits for
that. All state belongs to the event loop; threads only work.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from masking.errors import DeadlineExceeded
from mlops.metrics import Metrics
from services.asgi.errors import Busy
from services.serving.watch import StageWatch

T = TypeVar("T")
IMAGE: Final = "image"
SOUND: Final = "sound"
FIRST_GUESS_SECONDS: Final = {IMAGE: 0.05, SOUND: 0.1}
"""Cost of a unit of each kind of work before any was measured."""
CERTAIN: Final = 0.7
"""Share of the promised time that estimates may fill: some work costs more than is measured of its kind."""
LEAST_UNITS: Final = 1.0
"""Units that work counts as at least: less of it costs what every piece costs, and that says nothing of a unit."""
WEIGHT: Final = 0.1
"""Weight of the newest measurement in the moving average of costs."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long work may wait, so that it is done in the time that is promised of it.

    Attributes:
        queue_seconds: Longest wait, whatever the work costs.
        answer_seconds: Time from the beginning of the wait to the answer that is promised of work that costs little.
        answer_costs: The same of work that costs much, as a multiple of that.
    """

    queue_seconds: float
    answer_seconds: float = inf
    answer_costs: float = 1.0

    def wait_seconds(self, cost_seconds: float) -> float:
        """Return how long work may wait that costs so much; 0 for work that is done at once or not at all."""
        promised = max(self.answer_seconds, self.answer_costs * cost_seconds)
        return max(0.0, min(self.queue_seconds, CERTAIN * promised - cost_seconds))


@dataclass(slots=True)
class Held:
    """The bytes that one request holds."""

    admission: "Admission"
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Hold more.

        Raises:
            Busy: all requests together would hold too much.
        """
        self.admission.hold(size_bytes)
        self.size_bytes += size_bytes


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Work that waits or runs; `tells` says whether what it takes tells the cost of a unit."""

    watch: StageWatch
    units: float
    tells: bool


@dataclass(slots=True)
class Lane:
    """The threads for one kind of work.

    Attributes:
        threads: How many there are.
        unit_seconds: What a unit of the work costs, as measured so far.
        executor: The threads themselves.
        pending: Work that waits or runs.
    """

    threads: int
    unit_seconds: float
    executor: ThreadPoolExecutor
    pending: set[Job] = field(default_factory=set)

    def wait_seconds(self) -> float:
        """Return how long new work would wait for a thread, about."""
        if len(self.pending) < self.threads:
            return 0.0
        return sum(job.units for job in self.pending) * self.unit_seconds / self.threads

    def measured(self, unit_seconds: float) -> None:
        """Learn what a unit has cost."""
        self.unit_seconds += WEIGHT * (unit_seconds - self.unit_seconds)


class Admission:
    """The threads, the queue before them, and the bytes that are held for them."""

    def __init__(
        self, threads: int, patience: Patience, deadline_seconds: float, held_bytes: int, metrics: Metrics
    ) -> None:
        self._patience = patience
        self._deadline_seconds = deadline_seconds
        self._free_bytes = self._all_bytes = held_bytes
        self._metrics = metrics
        # Half of them for sound: what it takes from photos is a share of the processor, never their turn.
        self._lanes = {
            kind: Lane(count, FIRST_GUESS_SECONDS[kind], ThreadPoolExecutor(count, thread_name_prefix=f"mask-{kind}"))
            for kind, count in {IMAGE: threads, SOUND: max(1, threads // 2)}.items()
        }

    def wait_seconds(self, kind: str = IMAGE) -> float:
        """Return how long new work of a kind would wait for a thread, about."""
        return self._lanes[kind].wait_seconds()

    def is_idle(self) -> bool:
        """Say whether no work waits for a thread."""
        return all(len(lane.pending) <= lane.threads for lane in self._lanes.values())

    def is_in_time(self, units: float, kind: str = IMAGE) -> bool:
        """Say whether so much work can be done before its deadline, if it need not wait."""
        return units * self._lanes[kind].unit_seconds <= self._deadline_seconds

    def check_queue(self, kind: str = IMAGE) -> None:
        """Look whether there is a place in the queue, before anything is done to find out what the work costs.

        Raises:
            Busy: it would wait too long whatever it costs.
        """
        self._check_wait(self._lanes[kind].wait_seconds(), self._patience.queue_seconds)

    def hold(self, size_bytes: int) -> None:
        """Hold more bytes, or give them back if negative.

        Raises:
            Busy: there is no room for them.
        """
        if size_bytes > self._free_bytes:
            self._metrics.shed.labels("bytes").inc()
            raise Busy("the server holds all the media it can; come back a little later")
        self._free_bytes -= size_bytes
        self._metrics.held_bytes.set(self._all_bytes - self._free_bytes)

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """Count the bytes of one request while it lasts."""
        held = Held(self)
        try:
            yield held
        finally:
            self.hold(-held.size_bytes)

    async def run(self, work: Callable[[StageWatch], T], units: float, request: Request, kind: str = IMAGE) -> T:
        """Do ``work`` in a thread and return what it returns.

        Args:
            work: What to do. It must tell the watch of its stages and let pass what that raises.
            units: How much it is; any measure to which time is about proportional.
            request: Whom it is for; its body must have been read.
            kind: `IMAGE` or `SOUND`.

        Raises:
            Busy: it would wait longer than is promised, or the server stops before its turn.
            DeadlineExceeded: the time is over; a thread at work winds down and keeps its place till then.
            ClientDisconnect: nobody waits for the answer any more.
        """
        lane = self._lanes[kind]
        units, tells = max(units, LEAST_UNITS), units >= LEAST_UNITS
        self._check_wait(lane.wait_seconds(), self._patience.wait_seconds(units * lane.unit_seconds))
        job = Job(StageWatch(self._metrics, self._deadline_seconds), units, tells)
        answer = asyncio.wrap_future(self._submit(work, job, lane))
        gone = asyncio.create_task(_disconnected(request))
        waited: set[asyncio.Future[Any]] = {answer, gone}
        try:
            await asyncio.wait(waited, timeout=self._deadline_seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.cancelled():
                raise Busy("the server is stopping")
            if answer.done():
                return answer.result()
            if gone.done():
                raise ClientDisconnect
            self._metrics.shed.labels("deadline").inc()
            raise DeadlineExceeded
        finally:
            gone.cancel()
            if not answer.done():
                # Waiting work never starts; work that runs ends at its next stage.
                job.watch.stop()
                answer.cancel()

    async def close(self) -> None:
        """Drop what waits, end what runs at its next stage, and wait for that."""
        for lane in self._lanes.values():
            lane.executor.shutdown(wait=False, cancel_futures=True)
            for job in lane.pending:
                job.watch.stop()
        for lane in self._lanes.values():
            await asyncio.to_thread(lane.executor.shutdown, wait=True)

    def _check_wait(self, seconds: float, longest_seconds: float) -> None:
        if seconds > longest_seconds:
            self._metrics.shed.labels("queue").inc()
            raise Busy("the work that waits already would make this too late", ceil(seconds - longest_seconds))

    def _submit(self, work: Callable[[StageWatch], T], job: Job, lane: Lane) -> Future[T]:
        loop = asyncio.get_running_loop()

        def timed() -> T:
            job.watch.began()
            start = time.perf_counter()
            result = work(job.watch)
            if job.tells:
                loop.call_soon_threadsafe(lane.measured, (time.perf_counter() - start) / job.units)
            return result

        def ended() -> None:
            lane.pending.discard(job)
            self._show_depth()

        future = lane.executor.submit(copy_context().run, timed)
        lane.pending.add(job)
        self._show_depth()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(ended))
        return future

    def _show_depth(self) -> None:
        waiting = (max(0, len(lane.pending) - lane.threads) for lane in self._lanes.values())
        self._metrics.queue_depth.set(sum(waiting))


async def _disconnected(request: Request) -> None:
    """Return when the client has gone; there is nothing else to receive once the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
