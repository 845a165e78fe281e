"""Learns of another split by looking at local files, and swaps in whatever of it has passed its tests.

Models are loaded in threads beside the requests, while the files are looked at all the same: what is on disk in order
and loaded already serves within one look, however long another version takes. So a rollback never waits for a load.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Generic

from mlops.metrics import Metrics
from mlops.registry.bundle import Bundle, installed, open_bundle
from mlops.rollout.traffic import Split, SplitError, Variant, effective, stamp
from services.serving.endpoints import Endpoint, M

log = logging.getLogger(__name__)
SPARE: Final = 1
"""Versions kept loaded after they have left the split, so that they can come back at once."""
Refused = Callable[[Split, Variant], None]
"""Told of a split and of the variant of it that cannot serve."""


def _any(_: Variant) -> None:
    """Take any policy."""


def _unheard(_: Split, __: Variant) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Source(Generic[M]):
    """Where models come from.

    Attributes:
        stamp: Cheap; changes when there is another split, and is None when there is none.
        split: Returns the split that holds now; raises where it cannot be known.
        load: Returns a variant's tested, warmed model; raises on any doubt.
        check: Raises where a variant's policy cannot be used.
    """

    stamp: Callable[[], str | None]
    split: Callable[[], Split | None]
    load: Callable[[Variant], M]
    check: Callable[[Variant], None] = _any


def bundle_source(
    root: Path, model: str, load: Callable[[Bundle], M], check: Callable[[Variant], None] = _any
) -> Source[M]:
    """Return the local, verified bundles of a registered model as a source.

    Args:
        root: Folder of all bundles.
        model: Name of the registered model.
        load: Makes a tested model of a verified bundle.
        check: As in `Source`.
    """

    def load_variant(variant: Variant) -> M:
        return load(open_bundle(root / model / variant.version, variant.version, variant.digest))

    return Source(partial(stamp, root, model), partial(_in_force, root, model), load_variant, check)


def _in_force(root: Path, model: str) -> Split | None:
    """Return the effective split; a damaged file of it leaves the champion everything."""
    try:
        return effective(root, model)
    except SplitError:
        log.exception("the split cannot be read; the champion gets everything", extra={"model": model})
        champion = installed(root, model)
        return None if champion is None else Split.whole(model, *champion)


async def watch(
    source: Source[M],
    endpoint: Endpoint[M],
    metrics: Metrics,
    poll_seconds: float,
    retry_seconds: float,
    looked: asyncio.Event | None = None,
    refused: Refused = _unheard,
) -> None:
    """Look for another split every ``poll_seconds`` until cancelled, and give the endpoint what of it can serve.

    What cannot be loaded leaves everything to the champion, or to the split before where it is the champion itself, and
    is tried again after a pause that doubles up to ``retry_seconds``, or at once when the files change.

    Args:
        source: Where models come from.
        endpoint: Who is given them.
        metrics: What is counted.
        poll_seconds: Pause between two looks.
        retry_seconds: Longest pause between two tries.
        looked: Set after the first look and the loads that it led to, whatever came of them.
        refused: Told of each variant that cannot serve.
    """
    await _Follower(source, endpoint, metrics, poll_seconds, retry_seconds, refused).follow(looked)


Key = tuple[str, str]
"""Version and digest."""


@dataclass(slots=True)
class _Failure:
    """How often a version failed to load, and from when on it is worth another try."""

    times: int
    again_at: float


@dataclass(slots=True)
class _Follower(Generic[M]):
    source: Source[M]
    endpoint: Endpoint[M]
    metrics: Metrics
    poll_seconds: float
    retry_seconds: float
    refused: Refused
    seen: str | None = None
    unread: bool = False
    fault: str = ""
    wanted: Split | None = None
    barred: frozenset[str] = frozenset()
    served: tuple[Split, frozenset[str]] | None = None
    models: dict[Key, M] = field(default_factory=dict)
    failures: dict[Key, _Failure] = field(default_factory=dict)
    loading: tuple[Variant, asyncio.Task[M]] | None = None

    async def follow(self, looked: asyncio.Event | None) -> None:
        """Look, load and swap until cancelled."""
        try:
            while True:
                try:
                    await self._go_on(looked)
                except Exception:
                    # Nobody would notice that the task is gone until a rollback does not come.
                    log.exception("who gets which version was not followed", extra=self._facts())
                    await asyncio.sleep(self.poll_seconds)
        finally:
            if self.loading is not None:
                # A thread cannot be stopped: what it loads is thrown away.
                self.loading[1].cancel()

    async def _go_on(self, looked: asyncio.Event | None) -> None:
        try:
            await self._look()
            self._serve()
            self._load_next()
        finally:
            if looked is not None and self.loading is None:
                looked.set()
        await self._rest()

    async def _look(self) -> None:
        """Read the files, if they may have changed."""
        try:
            found = await asyncio.to_thread(self.source.stamp)
            if found is None or (found == self.seen and not self.unread):
                return
            if found != self.seen:
                self.failures.clear()
            self.seen, self.unread = found, True
            split = await asyncio.to_thread(self.source.split)
        except Exception as error:
            # Anything at all: what cannot be read changes nothing, and is read again.
            if repr(error) != self.fault:
                # Once, and not four times a second for as long as it lasts.
                self.fault = repr(error)
                log.exception("who gets which version cannot be read; it stays as it was", extra=self._facts())
            return
        self.unread, self.fault = False, ""
        if split is not None:
            self._want(split)

    def _want(self, split: Split) -> None:
        """Take a split, less the variants whose policy cannot be used."""
        barred = set()
        for variant in split.variants:
            try:
                self.source.check(variant)
            except Exception:
                # As of a model: whatever is wrong with a candidate, the champion goes on.
                log.exception("a variant's policy cannot be used", extra=self._facts() | {"variant": variant.name})
                barred.add(variant.name)
                self.refused(split, variant)
        champion = split.champion
        if champion.name in barred:
            split = Split.whole(split.model, champion.version, champion.digest)
        self.wanted, self.barred = split, frozenset(barred - {champion.name})

    def _serve(self) -> None:
        """Swap, where what is wanted and loaded is not what serves."""
        split = self.wanted
        if split is None or _key(split.champion) not in self.models:
            return
        models = {
            variant.name: self.models[_key(variant)]
            for variant in split.variants
            if _key(variant) in self.models and variant.name not in self.barred
        }
        now = (split, frozenset(models))
        if now != self.served:
            self.endpoint.swap(split, models)
            self.metrics.model_swaps.labels("swapped").inc()
            self.served = now
            self._drop(split)

    def _load_next(self) -> None:
        """Begin to load the first version that is wanted and worth a try, the champion before all."""
        if self.wanted is None or self.loading is not None:
            return
        now = time.monotonic()
        for variant in self.wanted.variants:
            failure = self.failures.get(_key(variant))
            if _key(variant) not in self.models and (failure is None or failure.again_at <= now):
                self.loading = variant, asyncio.create_task(asyncio.to_thread(self.source.load, variant))
                return

    async def _rest(self) -> None:
        """Wait for the next look, or for the load that runs."""
        if self.loading is None:
            await asyncio.sleep(self.poll_seconds)
            return
        variant, task = self.loading
        done, _ = await asyncio.wait({task}, timeout=self.poll_seconds)
        if not done:
            return
        self.loading = None
        error = task.exception()
        if error is None:
            self.failures.pop(_key(variant), None)
            self.models[_key(variant)] = task.result()
        else:
            self._failed(variant, error)

    def _failed(self, variant: Variant, error: BaseException) -> None:
        # Anything at all: whatever is wrong with a new model, the others go on serving.
        facts = self._facts() | {"variant": variant.name, "version": variant.version}
        log.error("the new model was refused; the others go on", extra=facts, exc_info=error)
        self.metrics.model_swaps.labels("failed").inc()
        before = self.failures.get(_key(variant))
        times = 1 if before is None else before.times + 1
        pause = min(self.retry_seconds, self.poll_seconds * 2 ** min(times, 30))
        self.failures[_key(variant)] = _Failure(times, time.monotonic() + pause)
        if self.wanted is not None:
            self.refused(self.wanted, variant)

    def _drop(self, split: Split) -> None:
        """Let go of all versions but those of the split and the last that left it."""
        used = dict.fromkeys(_key(variant) for variant in split.variants)
        beside = [key for key in self.models if key not in used]
        for key in beside[:-SPARE]:
            del self.models[key]
        # Those in use go to the end, so that the front is what left longest ago.
        for key in used:
            if key in self.models:
                self.models[key] = self.models.pop(key)

    def _facts(self) -> dict[str, str]:
        return {"endpoint": self.endpoint.name}


def _key(variant: Variant) -> Key:
    return variant.version, variant.digest
