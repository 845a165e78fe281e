"""Whether an arm leaves more of people open than the control: the guard of releases, asked about faces alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from mlops.experiments.plan import Arm, Plan
from mlops.experiments.state import Experiment
from mlops.rollout.guard import FAIL, LEAST_MEANS, Guards, Window, judge
from mlops.rollout.settings import RolloutSettings
from mlops.rollout.watch import Windows


@dataclass(frozen=True, slots=True)
class PrivacyGuard:
    """Watches the faces that arms leave open, or do not find.

    Attributes:
        windows: Reads the figures of variants.
        settings: What is too much, and what is beyond chance.
        judged: Names of the endpoints whose masked output is judged; of others nothing is asked.
    """

    windows: Windows
    settings: RolloutSettings
    judged: frozenset[str]

    def harm(self, experiment: Experiment, began: float, now: float) -> str:
        """Return which arm does worse than the control beyond chance, and how, as part of a sentence; else nothing.

        Args:
            experiment: Whose arms are compared, over all of its time.
            began: When its split was first written, in seconds since the epoch.
            now: Likewise.

        Raises:
            mlops.database.DatabaseAway: The rows of predictions cannot be read.
        """
        plan = experiment.plan
        if plan.endpoint not in self.judged:
            return ""
        found = self.windows(plan.endpoint, began, now, experiment.identity)
        control = self._control(plan, found, began, now)
        for arm in plan.treatments:
            verdict = judge(control, _of(found, arm), self._guards())
            if verdict.outcome == FAIL:
                return f"the arm {arm.name} hides less than the champion: {'; '.join(verdict.reasons)}"
        return ""

    def _control(self, plan: Plan, found: Mapping[tuple[str, str], Window], began: float, now: float) -> Window:
        control = _of(found, plan.arms[0])
        if control.faces.count >= LEAST_MEANS:
            return control
        # It has hardly any traffic of its own: what it did just before is counted, too.
        since = began - self.settings.guard_window_seconds
        return _of(self.windows(plan.endpoint, since, now, None), plan.arms[0])

    def _guards(self) -> Guards:
        """Return the bounds of releases, without those on what an experiment is asked about itself."""
        settings = self.settings
        return Guards(
            most_error_increase=1.0,
            most_latency_ratio=inf,
            latency_quantile=settings.guard_latency_quantile,
            most_open_increase=settings.guard_open_increase,
            most_detection_drop=settings.guard_detection_drop,
            most_utility_drop=1.0,
            minimum=0,
            minimum_judged=0,
            significance=settings.guard_significance,
            open_significance=settings.guard_open_significance,
        )


def _of(found: Mapping[tuple[str, str], Window], arm: Arm) -> Window:
    return found.get((arm.name, arm.version), Window())
