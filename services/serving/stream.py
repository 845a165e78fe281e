"""A live stream: what was chosen for it when it began, what masks it, and who takes over when that is to blame."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Protocol, Self, TypeVar

from masking.errors import PolicyError
from services.serving.account import Account
from services.serving.endpoints import Chosen, Endpoint, M

W = TypeVar("W")
T = TypeVar("T")


class Answered(Protocol):
    """What came of one piece of a stream."""

    @property
    def fault(self) -> str:
        """What went wrong; empty where nothing did."""
        ...


A = TypeVar("A", bound=Answered)


class Stream(Generic[M, W]):
    """One stream, which keeps what was chosen for it as long as that answers anybody.

    Args:
        account: Its account.
        endpoint: Where the choice is made.
        make: Makes the worker that masks the stream by what was chosen; raises PolicyError where that cannot do it.
        chosen: What is to mask it; chosen by the account unless given.

    Raises:
        NotReady, UnknownVariant: As `Endpoint.choose`.
        PolicyError: Neither the choice nor the champion can do it.
    """

    def __init__(
        self,
        account: Account,
        endpoint: Endpoint[M],
        make: Callable[[Chosen[M]], W],
        chosen: Chosen[M] | None = None,
    ) -> None:
        self.account = account
        self._endpoint = endpoint
        self._make = make
        self._work: asyncio.Future[Any] | None = None
        if chosen is None:
            chosen = account.choose(endpoint)
            self.chosen, self.worker = self._ready(chosen)
            account.chosen = self.chosen
        else:
            self.chosen, self.worker = chosen, make(chosen)

    def go_on(self) -> None:
        """Choose again where the choice answers nobody any more; who takes over has a fresh look at the stream.

        Raises:
            PolicyError: As above.
        """
        if not self._endpoint.answers(self.chosen):
            self.chosen, self.worker = self._ready(self._endpoint.choose(self.account.subject))
            self.account.chosen = self.chosen

    def champion(self) -> Self | None:
        """Return the stream as the champion would begin it now; None where the champion has it already."""
        if self.chosen.is_champion:
            return None
        return type(self)(self.account, self._endpoint, self._make, self._endpoint.champion())

    def take(self, other: Self) -> None:
        """Go on as another one."""
        self.chosen, self.worker, self._work = other.chosen, other.worker, other._work
        self.account.chosen = self.chosen

    async def answer(self, ask: Callable[[Self], Awaitable[A]], late: str, failed: Callable[[str], None]) -> A:
        """Return what came of a piece, of the champion's work where the choice alone was to blame.

        Args:
            ask: Has a stream do the piece.
            late: The fault of a piece that took too long, which blames nobody.
            failed: Told of the fault where the choice is to blame.
        """
        answer = await ask(self)
        if answer.fault and answer.fault != late and (champion := self.champion()) is not None:
            # Whether the choice or the piece is to blame shows once the champion has had the same piece.
            other = await ask(champion)
            if not other.fault:
                failed(answer.fault)
                self.take(champion)
                return other
        return answer

    async def ask(self, executor: ThreadPoolExecutor, seconds: float, work: Callable[[W], T]) -> T | None:
        """Have the worker do a piece in a thread; None where that takes longer than ``seconds``."""
        future = self._work = asyncio.get_running_loop().run_in_executor(executor, work, self.worker)
        done, _ = await asyncio.wait({future}, timeout=seconds)
        return future.result() if done else None

    async def idle(self) -> None:
        """Wait for a piece that is late: it has to leave the worker before the next may enter."""
        if self._work is not None:
            await asyncio.wait({self._work})

    def _ready(self, chosen: Chosen[M]) -> tuple[Chosen[M], W]:
        """Return what can mask the stream, and its worker."""
        try:
            return chosen, self._make(chosen)
        except PolicyError:
            if chosen.is_champion:
                raise
            champion = self._endpoint.champion()
            return champion, self._make(champion)
