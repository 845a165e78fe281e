"""Asks the guard about a release: over which windows of time, and how often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf

from mlops.database import DatabaseAway
from mlops.rollout.decide import is_due
from mlops.rollout.guard import INCONCLUSIVE, Guards, GuardVerdict, Window, judge
from mlops.rollout.settings import RolloutSettings
from mlops.rollout.state import LIVE, RUNNING, SHADOW, Release
from mlops.rollout.traffic import CHALLENGER, CHAMPION

Windows = Callable[[str, float, float, str | None], Mapping[tuple[str, str], Window]]
"""Endpoint, from when, until when and release (None for all) in; what each variant and version did out."""
SELDOM = 10
"""The whole of a long step is looked at once in so many looks."""
UNKNOWN = GuardVerdict(INCONCLUSIVE, ("nobody can say how the variants do: the rows of predictions cannot be read",))


@dataclass(frozen=True, slots=True)
class _Look:
    generation: int
    time: float
    whole_time: float
    recent: GuardVerdict
    step: GuardVerdict | None


class Watch:
    """What the guard says of releases, asked no more often than is worth it.

    Args:
        windows: Reads the figures; may raise `mlops.database.DatabaseAway`, which makes the verdict inconclusive.
        settings: Bounds and times.
        judged: Names of the endpoints whose masked output is judged, and of which nothing passes unjudged.
    """

    def __init__(self, windows: Windows, settings: RolloutSettings, judged: frozenset[str]) -> None:
        self._windows = windows
        self._settings = settings
        self._judged = judged
        self._looks: dict[str, _Look] = {}

    def verdicts(self, release: Release, now: float) -> tuple[GuardVerdict | None, GuardVerdict | None]:
        """Return what the guard says of the last while, and of the whole step once that is due.

        The first look since this object was made is at all of the step: nobody may have looked before.
        """
        if release.phase not in LIVE:
            self._looks.pop(release.identity, None)
            return None, None
        look = self._looks.get(release.identity)
        fresh = look is not None and 0 <= now - look.time < self._settings.guard_seconds
        if look is None or look.generation != release.generation or not fresh:
            look = self._looks[release.identity] = self._look(release, look, now)
        return look.recent, look.step

    def _look(self, release: Release, before: _Look | None, now: float) -> _Look:
        span = self._settings.guard_window_seconds
        began = self._began(release, now)
        since = now - span if release.is_promoted else max(began, now - span)
        if before is None:
            since = min(since, began)
        recent = self._judge(release, since, now)
        same = before is not None and before.generation == release.generation
        if release.phase != RUNNING or not is_due(release, now):
            return _Look(release.generation, now, now, recent, None)
        if since <= began:
            return _Look(release.generation, now, now, recent, recent)
        if same and before and before.step and 0 <= now - before.whole_time < SELDOM * self._settings.guard_seconds:
            return replace(before, time=now, recent=recent)
        return _Look(release.generation, now, now, recent, self._judge(release, began, now))

    def _judge(self, release: Release, since: float, now: float) -> GuardVerdict:
        try:
            candidate = self._windows(release.endpoint, since, now, release.identity)
            baseline = candidate
            step = release.current_step
            if step is not None and step.weight >= 1:
                # The baseline has no traffic by now, so what it did just before stands for what it would do.
                began = self._began(release, now)
                length = self._settings.guard_window_seconds
                baseline = self._windows(release.endpoint, began - length, began, None)
        except DatabaseAway:
            return UNKNOWN
        return judge(
            baseline.get((CHAMPION, release.baseline), Window()),
            candidate.get((CHALLENGER, release.candidate), Window()),
            self._guards(release),
        )

    def _began(self, release: Release, now: float) -> float:
        """Return when its step began; of one that is still to come, as a clock was set back, the last while."""
        began = now if release.step_started is None else release.step_started
        return began if began <= now else now - self._settings.guard_window_seconds

    def _guards(self, release: Release) -> Guards:
        settings, step, shadow = self._settings, release.current_step, release.strategy == SHADOW
        judged = release.endpoint in self._judged and not shadow
        useful = release.endpoint in settings.guard_utility_endpoints
        return Guards(
            most_error_increase=settings.guard_error_increase,
            # A shadow waits behind everything else, so how long it takes says nothing of the version.
            most_latency_ratio=inf if shadow else settings.guard_latency_ratio,
            latency_quantile=settings.guard_latency_quantile,
            most_open_increase=settings.guard_open_increase,
            most_detection_drop=settings.guard_detection_drop,
            most_utility_drop=settings.guard_utility_drop if useful else 1.0,
            minimum=settings.step_requests if step is None else step.minimum,
            minimum_judged=settings.guard_minimum_judged if judged else 0,
            significance=settings.guard_significance,
            open_significance=settings.guard_open_significance,
        )
