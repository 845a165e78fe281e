"""From what somebody asks for to an experiment: versions are looked up, and what it takes is computed beforehand."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlops.database import Database
from mlops.experiments import state
from mlops.experiments.plan import CONTROL, Arm, Metric, Plan, PlanError
from mlops.experiments.power import DAY, duration
from mlops.experiments.reading import PredictionReader
from mlops.experiments.state import DRAFT, Experiment
from mlops.experiments.store import ExperimentStore
from mlops.registry.bundle import BundleError, installed
from mlops.rollout.approvals import needed
from mlops.rollout.state import IllegalMove
from mlops.rollout.store import ReleaseStore, new_identity
from mlops.settings import Settings
from services.control.endpoints import check_policy, model_of
from services.control.experiment_views import ArmRequest, ExperimentRequest
from services.control.lookup import Lookup
from services.control.risk import policy_risk, risk_of


@dataclass(frozen=True, slots=True)
class ExperimentPlanner:
    """Makes experiments of what people ask for. It blocks: registry, databases and the folder of bundles are asked.

    Attributes:
        settings: The whole tree.
        store: Where experiments go.
        releases: What people have approved of.
        reader: What predictions of the past say.
        lookup: How the registry is asked.
        clock: Seconds since the epoch.
    """

    settings: Settings
    store: ExperimentStore
    releases: ReleaseStore
    reader: PredictionReader
    lookup: Lookup
    clock: Callable[[], float] = time.time

    def create(self, wanted: ExperimentRequest, actor: str) -> Experiment:
        """Add the experiment that somebody asks for, as a draft.

        Raises:
            UnknownEndpoint: It is the name of a model that masks.
            PolicyError: The endpoint cannot serve by the policy of an arm.
            UnknownVersion: The registry has no such model or version.
            IllegalMove: There is no champion to compare with.
            PlanError: It makes no sense, or nothing tells what a metric is to be compared with.
        """
        model = model_of(wanted.endpoint, self.settings.registry)
        for arm in wanted.arms:
            check_policy(wanted.endpoint, arm.policy)
        now = self.clock()
        plan = self._plan(wanted, model)
        control = plan.arms[0].version
        past = self.reader.past(plan.endpoint, control, plan.metrics, plan.window_seconds, now)
        a_day = past.subjects_a_day if wanted.subjects_a_day is None else wanted.subjects_a_day
        needs = duration(plan, past.expected, a_day)
        return self.store.create(Experiment(new_identity(), plan, needs, DRAFT, actor, wanted.reason, now))

    def start(self, identity: str, actor: str, force: bool) -> Experiment:
        """Start a draft.

        Raises:
            Unknown: There is no such experiment.
            UnknownVersion: The registry has the version of an arm no more.
            IllegalMove: It cannot be started, or people must approve of an arm first.
        """
        plan = self.store.get(identity).plan
        for arm in plan.treatments:
            self._ask_approval(plan, arm)
        return self.store.act(identity, actor, "start", lambda each, now: state.start(each, now, force))

    def _ask_approval(self, plan: Plan, arm: Arm) -> None:
        """Refuse an arm of which fewer people have approved, by way of a release, than its risk asks for."""
        candidate, control = (arm.version, arm.digest), plan.arms[0]
        serves = candidate == (control.version, control.digest)
        tags = {} if serves else self.lookup.resolve(plan.model, arm.version).tags
        risk = risk_of(None, tags, policy_risk(plan.endpoint, arm.policy, self.settings))
        count = needed(risk, self.settings.rollout)
        if count and self.releases.approved(plan.endpoint, candidate, arm.policy) < count:
            told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in arm.policy.items()}
            policy = "".join(f" --policy {name}={value}" for name, value in told.items())
            raise IllegalMove(
                f"{count} {'person' if count == 1 else 'people'} must approve of arm {arm.name} first, whose risk is "
                f"{risk}: start a release of the same version and policy (masker release start {plan.endpoint} "
                f"{arm.version}{policy} -m WHY), have it approved, abort it, and start this experiment again"
            )

    def _plan(self, wanted: ExperimentRequest, model: str) -> Plan:
        given = self.settings.experiments
        version, digest = self._champion(model)
        control = Arm(CONTROL, version, 1 - sum(arm.weight for arm in wanted.arms), digest)
        longest = given.longest_seconds if wanted.longest_days is None else wanted.longest_days * DAY
        kept = self.settings.predictions.keep_seconds
        if longest > kept:
            raise PlanError(f"predictions are kept for {kept / DAY:.1f} days, and no experiment outlasts its rows")
        return Plan(
            endpoint=wanted.endpoint,
            model=model,
            arms=(control, *(self._arm(model, arm, control) for arm in wanted.arms)),
            metrics=tuple(Metric(**metric.model_dump()) for metric in wanted.metrics),
            alpha=given.alpha if wanted.alpha is None else wanted.alpha,
            power=given.power if wanted.power is None else wanted.power,
            longest_seconds=longest,
            window_seconds=wanted.window_seconds,
            least_subjects=given.least_subjects if wanted.least_subjects is None else wanted.least_subjects,
            method=wanted.method,
        )

    def _arm(self, model: str, asked: ArmRequest, control: Arm) -> Arm:
        if asked.version is None or asked.version == control.version:
            return Arm(asked.name, control.version, asked.weight, control.digest, asked.policy)
        found = self.lookup.resolve(model, asked.version)
        return Arm(asked.name, found.version, asked.weight, found.digest, asked.policy)

    def _champion(self, model: str) -> tuple[str, str]:
        try:
            champion = installed(self.settings.registry.bundles_path, model)
        except BundleError as error:
            raise IllegalMove(f"nobody can say which version of {model} serves: {error}") from error
        if champion is None:
            raise IllegalMove(f"{model} has no champion to compare with")
        return champion


def experiment_planner(
    settings: Settings, platform: Database, predictions: Database, lookup: Lookup
) -> ExperimentPlanner:
    """Return a planner over the platform's database, made with `mlops.experiments.table.TABLES`, and predictions."""
    reader = PredictionReader(predictions, settings.experiments.history_seconds)
    return ExperimentPlanner(settings, ExperimentStore(platform), ReleaseStore(platform), reader, lookup)
