"""The release loop: what people asked for in the database becomes files that serving reads, and figures become moves.

It reconciles: each tick makes the local files be what the phase in the database says, then asks what is next. It may be
killed between any two lines, and the next tick goes on. Where traffic is taken from a candidate the files come first
and the database after, where it is given the other way round: an end in between leaves less traffic, never more.

Promotion: the candidate is verified on disk, the aliases that the registry is to have are noted, the pointer moves,
which voids the split, and the split goes. Rollback is the same the other way; neither needs the registry.
"""

import logging
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions.recorder import database_of
from mlops.predictions.spool import living
from mlops.predictions.store import PredictionStore
from mlops.registry.bundle import BundleError, installed, on_disk, point
from mlops.rollout.decide import Bounds, Facts, decide, overdue
from mlops.rollout.router import among
from mlops.rollout.settings import RolloutSettings
from mlops.rollout.state import (
    FAILED,
    LIVE,
    PENDING_APPROVAL,
    PHASES,
    PREPARING,
    PROMOTING,
    ROLLING_BACK,
    IllegalMove,
    Release,
)
from mlops.rollout.store import LOOP, Conflict, ReleaseStore
from mlops.rollout.strategies import split_of
from mlops.rollout.table import TABLES
from mlops.rollout.traffic import CHAMPION, Split, SplitError, Variant, read_split, remove_split, write_split
from mlops.rollout.watch import Watch, Windows
from mlops.settings import Settings
from services.worker.rounds import Round

MOST_MOVES: Final = 4
"""Moves of one release in one tick: enough to go from queued to its first step, or through a whole rollback."""
JUDGED: Final = frozenset({"faces"})
"""Endpoints whose masked output is judged."""
log: Final = logging.getLogger(__name__)


class NotServed(Exception):
    """A version that is to get all traffic does not lie on disk as it was registered."""


class ReleaseLoop:
    """Carries releases out.

    Args:
        store: What people asked for.
        root: Folder of the bundles.
        windows: Reads what both variants did.
        settings: Bounds and times.
        judged: Endpoints of which nothing passes unjudged.
        replicas: Returns the names of the replicas that serve now, for rolling releases.
        collectors: Where its metrics are registered.
    """

    def __init__(
        self,
        store: ReleaseStore,
        root: Path,
        windows: Windows,
        settings: RolloutSettings,
        judged: frozenset[str],
        replicas: Callable[[], frozenset[str]],
        collectors: CollectorRegistry,
    ) -> None:
        self._store = store
        self._root = root
        self._replicas = replicas
        self._bounds = Bounds(settings.prepare_seconds, settings.hold_seconds, settings.hold_ends)
        self._watch = Watch(windows, settings, judged)
        self._moves = Counter(
            "masker_release_moves_total", "Moves of releases, by the phase they led to.", ["to"], registry=collectors
        )
        self._failures = Counter(
            "masker_release_failures_total", "Looks at a release that failed.", registry=collectors
        )
        self._open = Gauge(
            "masker_releases_open", "Releases that have not ended.", ["endpoint", "phase"], registry=collectors
        )
        self._overdue = Gauge(
            "masker_release_overdue_seconds",
            "For how long a release has stayed at its step beyond the time that the step lasts at least.",
            ["endpoint"],
            registry=collectors,
        )
        self._shown: set[tuple[str, str]] = set()
        self._faults: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str]] = set()
        for phase in PHASES:
            self._moves.labels(phase)

    def tick(self, now: float) -> None:
        """Look once at every release that has not ended, and at what those that have left behind.

        A release that something goes wrong with keeps no other from being looked at; the next tick tries it again.

        Raises:
            mlops.database.DatabaseAway: The platform's database does not answer. Everything stays as it is.
        """
        self._told, self._faults = self._faults, set()
        self._store.expire_approvals()
        releases = self._store.open()
        self._show(releases, now)
        for release in releases:
            if release.phase != PENDING_APPROVAL:
                self._guarded(partial(self._carry, release, now), release.endpoint)
        for endpoint, model in self._store.endpoints():
            self._guarded(partial(self._tidy, endpoint, model), endpoint)

    def _show(self, releases: Sequence[Release], now: float) -> None:
        """Show what is open; what was shown once and is not so any more is 0."""
        counts = Tally((each.endpoint, each.phase) for each in releases)
        self._shown |= counts.keys()
        for endpoint, phase in self._shown:
            self._open.labels(endpoint, phase).set(counts[endpoint, phase])
        late = {each.endpoint: overdue(each, now) for each in releases if each.is_active}
        for endpoint in {endpoint for endpoint, _ in self._shown}:
            self._overdue.labels(endpoint).set(late.get(endpoint, 0.0))

    def _guarded(self, work: Callable[[], None], endpoint: str) -> None:
        try:
            work()
        except Conflict:
            # A person was quicker: the next tick sees what he did.
            return
        except (NotServed, BundleError, OSError) as error:
            self._failures.inc()
            self._faults.add((endpoint, str(error)))
            if (endpoint, str(error)) not in self._told:
                # Once, and not at every tick for as long as it lasts.
                log.error("a release could not be carried on", extra={"endpoint": endpoint, "reason": str(error)})

    def _carry(self, release: Release, now: float) -> None:
        """Make the files be what the phase says, and move on, until it waits for something."""
        for _ in range(MOST_MOVES):
            after = self._decide(release, now)
            if after.phase not in (ROLLING_BACK, FAILED) or release.phase == ROLLING_BACK:
                # What is about to lose its traffic is given none before.
                self._apply(release)
                after = self._decide(release, now) if release.phase in (PROMOTING, ROLLING_BACK) else after
            if after.generation == release.generation:
                self._store.note(release, after.note)
                return
            if not self._move(release, after):
                return
            release = after

    def _decide(self, release: Release, now: float) -> Release:
        recent, step = self._watch.verdicts(release, now)
        preparing = release.phase == PREPARING
        facts = Facts(
            champion=installed(self._root, release.model),
            on_disk=preparing and self._has(release.model, release.candidate, release.candidate_digest),
            refused=self._refused(release) if preparing else "",
            recent=recent,
            step=step,
        )
        return decide(release, facts, self._bounds, now)

    def _move(self, before: Release, after: Release) -> bool:
        """Put a move into the database; False where its endpoint is somebody else's, so that it waits in line."""
        if after.phase == ROLLING_BACK:
            self._apply(after)
        try:
            self._store.move(before, after, LOOP, after.phase)
        except IllegalMove as error:
            self._store.note(before, str(error))
            return False
        self._moves.labels(after.phase).inc()
        told = {"release": after.identity, "model": after.model, "phase": after.phase, "reason": after.note}
        log.info("a release moved", extra=told)
        return True

    def _apply(self, release: Release) -> None:
        """Make the local files be what the phase says."""
        model = release.model
        if release.phase == ROLLING_BACK:
            baseline = (release.baseline, release.baseline_digest)
            # First, or a split that was made against the baseline would hold again once that is champion.
            self._put(model, _whole(model, baseline, release.baseline_policy))
            self._point(model, baseline)
        elif release.phase == PROMOTING:
            candidate = (release.candidate, release.candidate_digest)
            self._point(model, candidate)
            self._put(model, _whole(model, candidate, release.policy))
        elif release.phase in LIVE:
            self._put(model, self._split(release))

    def _split(self, release: Release) -> Split | None:
        split = split_of(release)
        if split is None or split.rolling is None:
            return split
        return among(split, self._replicas(), self._standing(release.model))

    def _point(self, model: str, champion: tuple[str, str]) -> None:
        if installed(self._root, model) == champion:
            return
        if not self._has(model, *champion):
            raise NotServed(f"version {champion[0]} does not lie on disk as it was registered")
        point(self._root, model, *champion)

    def _tidy(self, endpoint: str, model: str) -> None:
        """Give an endpoint that nobody splits the state that its last release left, such as after an experiment."""
        holder = self._store.holder(endpoint)
        if holder not in (None, LOOP):
            return
        standing, champion = self._store.standing(endpoint), installed(self._root, model)
        named = standing is not None and (standing.version, standing.digest) == champion
        wanted = _whole(model, champion, standing.policy) if standing and champion and named else None
        if holder is None and self._is(model, wanted):
            return
        # Held while it writes, so that nobody's new split is taken for what was left behind.
        if self._store.claim(endpoint, model, LOOP, ()):
            self._put(model, wanted)
            self._store.free(endpoint, LOOP)

    def _put(self, model: str, split: Split | None) -> None:
        if self._is(model, split):
            return
        if split is None:
            remove_split(self._root, model)
        else:
            write_split(self._root, split)

    def _is(self, model: str, split: Split | None) -> bool:
        try:
            return read_split(self._root, model) == split
        except SplitError:
            return False

    def _standing(self, model: str) -> Split | None:
        try:
            return read_split(self._root, model)
        except SplitError:
            return None

    def _has(self, model: str, version: str, digest: str) -> bool:
        return on_disk(self._root, model, version, digest) is not None

    def _refused(self, release: Release) -> str:
        try:
            return (self._root / release.model / f"{release.candidate}.refused").read_text(encoding="utf-8").strip()
        except OSError:
            return ""


def _whole(model: str, champion: tuple[str, str], policy: Mapping[str, Any]) -> Split | None:
    """Return the split that gives a champion everything with a policy of its own; None where it has none."""
    return Split(model, (Variant(CHAMPION, *champion, 1.0, policy=dict(policy)),)) if policy else None


def releases_round(settings: Settings, metrics: Metrics) -> Round:
    """Return the release loop as a round over the platform's databases."""
    platform, predictions = Database(settings.database, TABLES), database_of(settings.predictions)
    loop = ReleaseLoop(
        ReleaseStore(platform),
        settings.registry.bundles_path,
        PredictionStore(predictions).windows,
        settings.rollout,
        JUDGED if settings.capture.share else frozenset(),
        partial(living, settings.predictions.spool_path),
        metrics.registry,
    )

    def close() -> None:
        platform.close()
        predictions.close()

    return Round("releases", settings.rollout.tick_seconds, lambda: loop.tick(time.time()), close)
