"""Which generic endpoints there are: one for each registered model whose bundle on disk is an ONNX graph."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from masking.onnx import open_session
from mlops.folders import entries
from mlops.generic.loading import ARCHITECTURE, GenericModel, load_generic
from mlops.metrics import Metrics
from mlops.registry.bundle import MANIFEST, Bundle, BundleError, installed
from mlops.rollout.traffic import Split, Variant
from services.serving.endpoints import Endpoint
from services.serving.watcher import Source, bundle_source, watch

FIRST_SECONDS: Final = 30.0
"""How long the start waits for the models that are there already."""
log = logging.getLogger(__name__)


def generic_models(root: Path) -> list[str]:
    """List the registered models in the bundle folder whose champion is a generic ONNX graph."""
    return [folder.name for folder in entries(root) if _architecture(root, folder.name) == ARCHITECTURE]


def _architecture(root: Path, name: str) -> str | None:
    try:
        champion = installed(root, name)
        if champion is None:
            return None
        manifest = json.loads((root / name / champion[0] / MANIFEST).read_text(encoding="utf-8"))
        return str(manifest["architecture"])
    except (BundleError, OSError, ValueError, KeyError, TypeError):
        return None


def load(bundle: Bundle) -> GenericModel:
    """Return the tested, warmed model of a verified bundle."""
    return load_generic(bundle, open_session)


def source_of(root: Path, name: str) -> Source[GenericModel]:
    """Return the local bundles of a generic model as a source."""
    return bundle_source(root, name, load)


class Directory(dict[str, Endpoint[GenericModel]]):
    """The generic endpoints by name; each is followed by a task of its own.

    Args:
        root: Folder of the bundles.
        metrics: What is counted.
        replica: Name of this replica.
        look_seconds: Pause between two looks for endpoints, and at the files of each.
        retry_seconds: Longest pause before a model that could not be loaded is tried again.
        refused: Told of an endpoint's name, a split, and the variant of it that cannot serve.
    """

    def __init__(
        self,
        root: Path,
        metrics: Metrics,
        replica: str,
        look_seconds: float,
        retry_seconds: float,
        refused: Callable[[str, Split, Variant], None],
    ) -> None:
        self._root = root
        self._metrics = metrics
        self._replica = replica
        self._look_seconds = look_seconds
        self._retry_seconds = retry_seconds
        self._refused = refused
        super().__init__()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Load what is there, and follow it from then on."""
        first = await self._look()
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                for looked in first:
                    await looked.wait()
        self._tasks.append(asyncio.create_task(self._follow(), name="follow-endpoints"))

    async def close(self) -> None:
        """Follow nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self._look()
            except Exception:
                # Nobody would notice that the task is gone until an endpoint does not come.
                log.exception("generic endpoints were not looked for")

    async def _look(self) -> list[asyncio.Event]:
        """Follow the models that are new; returns what is set when each was looked at."""
        names = await asyncio.to_thread(generic_models, self._root)
        events = []
        for name in names:
            if name in self:
                continue
            endpoint: Endpoint[GenericModel] = Endpoint(name, self._metrics, self._replica)
            looked = asyncio.Event()
            source, every, retry = source_of(self._root, name), self._look_seconds, self._retry_seconds
            work = watch(source, endpoint, self._metrics, every, retry, looked, partial(self._refused, name))
            self[name] = endpoint
            self._tasks.append(asyncio.create_task(work, name=f"follow-{name}"))
            events.append(looked)
            log.info("a generic endpoint was found", extra={"endpoint": name})
        return events
