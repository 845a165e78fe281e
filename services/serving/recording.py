"""Keeps those open who keep rows and captures while an app lives."""

import asyncio
from types import TracebackType

from mlops.predictions.captures import Captures
from mlops.predictions.recorder import Recorder


class Recording:
    """An asynchronous context that a recorder and captures are open in.

    Args:
        recorder: Who keeps rows.
        captures: Who keeps captures.
    """

    def __init__(self, recorder: Recorder, captures: Captures) -> None:
        self._recorder = recorder
        self._captures = captures

    async def __aenter__(self) -> None:
        """Open both; what raises there raises here."""
        await asyncio.to_thread(self._recorder.open)
        try:
            await asyncio.to_thread(self._captures.open)
        except BaseException:
            await asyncio.to_thread(self._recorder.close)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, and close both."""
        await asyncio.to_thread(self._captures.close)
        await asyncio.to_thread(self._recorder.close)
