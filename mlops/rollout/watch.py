"""Asks the guard about a release: over which windows of time, and how often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from mlops.database import DatabaseAway
from mlops.rollout.decide import is_due
from mlops.rollout.guard import INCONCLUSIVE, PASS, Guards, GuardVerdict, Window, judge
from mlops.rollout.settings import RolloutSettings
from mlops.rollout.state import LIVE, ROLLING, RUNNING, SHADOW, Release
from mlops.rollout.traffic import CHALLENGER, CHAMPION

Windows = Callable[[str, float, float, str | None], Mapping[tuple[str, str], Window]]
"""Endpoint, since, until and release or experiment (None for all) in; what each variant and version did out."""
SELDOM = 10
"""The whole of a long step is looked at once in so many looks."""
BEFORE_SECONDS: Final = 86_400.0
"""How far before a release was asked for its baseline's figures may be looked for: a day has all its hours."""
BEFORE: Final = "the baseline's figures are those of the time before"
UNKNOWN = GuardVerdict(INCONCLUSIVE, ("nobody can say how the variants do: the rows of predictions cannot be read",))


@dataclass(frozen=True, slots=True)
class _Look:
    generation: int
    time: float
    whole_time: float
    recent: GuardVerdict
    step: GuardVerdict | None


@dataclass(frozen=True, slots=True)
class _Before:
    generation: int
    time: float
    window: Window
    enough: bool


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
        self._befores: dict[str, _Before] = {}

    def verdicts(self, release: Release, now: float) -> tuple[GuardVerdict | None, GuardVerdict | None]:
        """Return what the guard says of the last while, and of the whole step once that is due.

        The first look since this object was made is at all of the step: nobody may have looked before.
        """
        if release.phase not in LIVE:
            self._looks.pop(release.identity, None)
            self._befores.pop(release.identity, None)
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
            both = self._windows(release.endpoint, since, now, release.identity)
            beside = both.get((CHAMPION, release.baseline), Window())
            baseline = self._baseline(release, beside, now)
        except DatabaseAway:
            return UNKNOWN
        candidate = both.get((CHALLENGER, release.candidate), Window())
        verdict = judge(baseline, candidate, self._guards(release))
        if baseline is beside or verdict.outcome == PASS:
            return verdict
        return replace(verdict, reasons=(*verdict.reasons, BEFORE))

    def _baseline(self, release: Release, beside: Window, now: float) -> Window:
        """Return what the baseline did beside the candidate, or before where it has no traffic any more."""
        step = release.current_step
        if release.strategy != ROLLING:
            return beside if step is None or step.weight < 1 else self._stretch(release, self._began(release, now))
        # Of one replica, or of the last, nothing is left to the baseline.
        if self._suffices(release, beside):
            return beside
        before = self._before(release, now)
        return before.window if before.enough or before.window.requests > beside.requests else beside

    def _before(self, release: Release, now: float) -> _Before:
        """Return what the baseline did before the step, over as long a stretch as it takes to have enough of it."""
        found, pause = self._befores.get(release.identity), SELDOM * self._settings.guard_seconds
        if found and found.generation == release.generation and (found.enough or 0 <= now - found.time < pause):
            return found
        began, length = self._began(release, now), self._settings.guard_window_seconds
        longest = began - min(began, release.created) + max(length, BEFORE_SECONDS)
        window, enough = Window(), False
        while not enough and length < 2 * longest:
            window = self._stretch(release, began, min(length, longest))
            enough, length = self._suffices(release, window), 2 * length
        found = self._befores[release.identity] = _Before(release.generation, now, window, enough)
        return found

    def _stretch(self, release: Release, until: float, seconds: float | None = None) -> Window:
        length = self._settings.guard_window_seconds if seconds is None else seconds
        found = self._windows(release.endpoint, until - length, until, None)
        return found.get((CHAMPION, release.baseline), Window())

    def _suffices(self, release: Release, window: Window) -> bool:
        """Whether there is enough of a window to compare it, were it only with itself."""
        alone = replace(window, load_refused=0)
        return judge(alone, alone, self._guards(release)).outcome == PASS

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
