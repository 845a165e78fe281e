"""Follows the registry: champions, the versions that releases and experiments need, and the aliases they changed.

All of it in one thread, in this order: the aliases that a release has changed here are changed there, and only then the
registry is believed on who is champion. A model whose traffic is split, or whose alias still waits, keeps the champion
that it has, and so does every model while nobody can say whether that is so.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from mlops.database import DatabaseAway
from mlops.registry.bundle import Bundle, BundleError, installed, on_disk
from mlops.registry.errors import RegistryError, UnknownVersion
from mlops.registry.mlflow import Registry
from mlops.registry.refusal import accept, refuse
from mlops.registry.settings import RegistrySettings
from mlops.registry.version import CHALLENGER, CHAMPION
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import AliasOperation

OUTCOMES: Final = ("refused", "failed", "pulled", "unchanged")
"""What can come of a look, the worst first."""
log: Final = logging.getLogger(__name__)


class Puller:
    """Brings what serves, and what is about to.

    Args:
        settings: Where the registry is, and where bundles go.
        collectors: Where the worker's metrics are registered.
        store: What releases and experiments want.
    """

    def __init__(self, settings: RegistrySettings, collectors: CollectorRegistry, store: ReleaseStore) -> None:
        self._settings = settings
        self._root = settings.bundles_path
        self._store = store
        self._registry = Registry(settings.tracking_uri)
        self._pulls = Counter(
            "masker_bundle_pulls_total",
            "Looks for a new champion, or another version that is wanted, by what came of them.",
            ["outcome"],
            registry=collectors,
        )
        self._up = Gauge(
            "masker_registry_up", "Whether the registry answered the last time, 0 or 1.", registry=collectors
        )
        for outcome in OUTCOMES:
            self._pulls.labels(outcome)

    def pull(self) -> str:
        """Look once for everything; returns the worst that came of it.

        That is `refused` (not what was registered), `failed` (no answer), `pulled` or `unchanged`. One model that is
        refused keeps no other from being brought.
        """
        outcomes = list(self._looks())
        for outcome in outcomes:
            self._pulls.labels(outcome).inc()
        self._up.set("failed" not in outcomes)
        return min(outcomes, key=OUTCOMES.index)

    def _looks(self) -> Iterator[str]:
        yield from self._aliases()
        for model, version in self._wanted():
            yield self._look(model, partial(self._bring, model, version))
        for model in self._models():
            yield self._look(model, partial(self._registry.pull, model, self._root, self._may_point))

    def _aliases(self) -> Iterator[str]:
        """Change the aliases that wait."""
        try:
            for operation in self._store.aliases_pending():
                yield self._alias(operation)
        except DatabaseAway:
            log.warning("nobody can say which aliases wait: the platform's database does not answer")

    def _alias(self, operation: AliasOperation) -> str:
        told = {"model": operation.model, "alias": operation.alias, "version": operation.version}
        try:
            if not self._waits_for_a_release(operation):
                self._registry.set_alias(operation.model, operation.alias, operation.version)
        except UnknownVersion:
            log.error("the registry does not know a version that was released", extra=told)
            if operation.alias == CHAMPION:
                # What serves stays, although the registry has lost it: going back is for people to decide.
                return "refused"
        except RegistryError as error:
            log.warning("an alias waits for the registry", extra=told | {"reason": str(error)})
            return "failed"
        self._store.alias_done(operation)
        return "unchanged"

    def _waits_for_a_release(self, operation: AliasOperation) -> bool:
        """Say whether an alias is to go from another version, which waits for its release and is found by it."""
        if operation.alias != CHALLENGER:
            return False
        try:
            named = self._registry.resolve(operation.model, CHALLENGER).version
        except UnknownVersion:
            return False
        return self._store.stays(operation, named)

    def _wanted(self) -> list[tuple[str, str]]:
        try:
            return list(self._store.wanted())
        except DatabaseAway:
            return []

    def _models(self) -> list[str]:
        """Give the models to look for: the two that mask, and whatever else has a champion."""
        ours = [self._settings.model, self._settings.voice_model]
        try:
            return ours + [name for name in self._registry.champions() if name not in ours]
        except RegistryError:
            # Each of the two is asked for, and says so, too.
            return ours

    def _may_point(self, model: str) -> bool:
        try:
            return self._store.may_point(model)
        except DatabaseAway:
            return installed(self._root, model) is None

    def _bring(self, model: str, version: str) -> Bundle | None:
        try:
            digest = self._registry.resolve(model, version).digest
            there = on_disk(self._root, model, version, digest)
            bundle = self._registry.bring(model, version, self._root) if there is None else None
        except (UnknownVersion, BundleError) as error:
            # Whoever waits for it need not wait any longer.
            refuse(self._root, model, version, str(error))
            raise
        accept(self._root, model, version)
        return bundle

    def _look(self, model: str, look: Callable[[], Bundle | None]) -> str:
        try:
            bundle = look()
        except (UnknownVersion, BundleError, OSError) as error:
            log.error("a bundle was refused", extra={"model": model, "reason": str(error)})
            return "refused"
        except RegistryError as error:
            log.warning("the registry gave no bundle", extra={"model": model, "reason": str(error)})
            return "failed"
        except Exception:
            # Whatever else it was, such as a store of artifacts that nothing here can read, the others are looked for.
            log.exception("the registry gave no bundle", extra={"model": model})
            return "failed"
        if bundle is None:
            return "unchanged"
        log.info("bundle pulled", extra={"model": model, "version": bundle.version})
        return "pulled"


@asynccontextmanager
async def following(pull: Callable[[], str], poll_seconds: float) -> AsyncIterator[None]:
    """Look for what is new every ``poll_seconds``, in a thread, while the context is open."""

    async def follow() -> None:
        while True:
            try:
                await asyncio.to_thread(pull)
            except Exception:
                # Nobody would notice that the task is gone until a version does not come.
                log.exception("the registry was not looked at")
            await asyncio.sleep(poll_seconds)

    task = asyncio.create_task(follow(), name="follow-registry")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
