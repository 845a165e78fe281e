"""The loop of experiments: gives one the split of its endpoint, looks at what comes of it, and takes the split back.

It reconciles, as the release loop does: each tick makes the local files be what the database says, and it may be killed
between any two lines. That a split may be held is noted before it is claimed, and that it is not after it was freed.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from mlops.database import Database, DatabaseAway
from mlops.experiments import analysis, state
from mlops.experiments.analysis import Look
from mlops.experiments.observations import observe
from mlops.experiments.privacy import PrivacyGuard
from mlops.experiments.reading import PredictionReader
from mlops.experiments.state import RUNNING, Experiment
from mlops.experiments.store import ExperimentStore
from mlops.experiments.table import TABLES
from mlops.experiments.telling import told
from mlops.experiments.verdict import harmful
from mlops.metrics import Metrics
from mlops.predictions.recorder import database_of
from mlops.predictions.store import PredictionStore
from mlops.registry.bundle import installed, on_disk
from mlops.rollout.state import MOST_NOTE
from mlops.rollout.store import Conflict, ReleaseStore
from mlops.rollout.traffic import CHAMPION, Split, SplitError, Variant, read_split, remove_split, write_split
from mlops.settings import Settings
from services.worker.experiment_metrics import ExperimentMetrics, cause
from services.worker.releases import JUDGED
from services.worker.rounds import Round

SPARING: Final = 20.0
"""A look is followed by a pause of so many times as long as it took, so that it never takes more of a processor."""
TIDY_SECONDS: Final = 3600.0
log: Final = logging.getLogger(__name__)


class ExperimentLoop:
    """Carries experiments out.

    Args:
        experiments: What people asked for.
        releases: Who has which split.
        reader: What predictions say.
        root: Folder of the bundles.
        look_seconds: Pause between two looks at one experiment.
        prepare_seconds: How long the versions of the arms may take to be brought.
        keep_seconds: How long outcomes are kept after an experiment has been stopped.
        privacy: Finds arms that hide less than the champion.
        collectors: Where its metrics are registered.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        experiments: ExperimentStore,
        releases: ReleaseStore,
        reader: PredictionReader,
        root: Path,
        look_seconds: float,
        prepare_seconds: float,
        keep_seconds: float,
        privacy: PrivacyGuard,
        collectors: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._experiments = experiments
        self._releases = releases
        self._reader = reader
        self._root = root
        self._look_seconds = look_seconds
        self._prepare_seconds = prepare_seconds
        self._keep_seconds = keep_seconds
        self._privacy = privacy
        self._metrics = ExperimentMetrics(collectors)
        self._clock = clock
        self._tidied = -TIDY_SECONDS
        self._past: dict[str, Mapping[str, Mapping[str, float]]] = {}
        self._next: dict[str, float] = {}

    def tick(self, now: float) -> None:
        """Look once at every experiment that runs, or that may still hold a split.

        An experiment that something goes wrong with keeps no other from being carried on; its note says what it is.

        Raises:
            mlops.database.DatabaseAway: A database does not answer. Everything stays as it is.
        """
        active = self._experiments.active()
        self._metrics.show(active)
        for experiment in active:
            self._guarded(partial(self._carry, experiment, now), experiment)
        if now - self._tidied >= TIDY_SECONDS:
            self._experiments.forget_outcomes(self._keep_seconds)
            self._tidied = now

    def _guarded(self, work: Callable[[], None], experiment: Experiment) -> None:
        try:
            work()
        except Conflict:
            # A person was quicker: the next tick sees what he did.
            return
        except DatabaseAway:
            raise
        except Exception as error:
            # Whatever it is: the others go on.
            note = f"it could not be carried on: {type(error).__name__}: {error}"[:MOST_NOTE]
            if note != experiment.note:
                # Once, and not at every tick for as long as it lasts.
                log.exception("an experiment could not be carried on", extra={"experiment": experiment.identity})
            self._experiments.note(self._experiments.get(experiment.identity), note)

    def _carry(self, experiment: Experiment, now: float) -> None:
        if experiment.state != RUNNING:
            self._take_back(experiment)
            # Somebody stopped it: what came until then is looked at, once.
            self._give_back(self._last_look(experiment))
            self._metrics.stopped("person")
            return
        if not experiment.holds:
            experiment = self._experiments.move(experiment, state.hold(experiment), "hold")
        split = self._split(experiment, now)
        if split is None:
            return
        if self._read(experiment) != split:
            write_split(self._root, split)
        if experiment.began is None:
            experiment = self._experiments.move(experiment, state.begin(experiment, now), "begin")
        if now >= self._next.get(experiment.identity, 0.0):
            began = self._clock()
            self._look(experiment, now)
            pause = max(self._look_seconds, SPARING * (self._clock() - began))
            self._next[experiment.identity] = now + pause

    def _split(self, experiment: Experiment, now: float) -> Split | None:
        """Return the split that an experiment is to have; None where it has to wait, or has ended."""
        plan = experiment.plan
        if not self._has_split(experiment):
            self._experiments.note(experiment, f"the traffic of {plan.endpoint} is split by a release or an experiment")
            return None
        control = plan.arms[0]
        if installed(self._root, plan.model) != (control.version, control.digest):
            why = f"version {control.version}, the control, is not the champion any more"
            self._stop(experiment, now, why, "champion")
            return None
        if experiment.began is None:
            away = [arm for arm in plan.arms if on_disk(self._root, plan.model, arm.version, arm.digest) is None]
            if away:
                self._wait_for(experiment, away[0].version, now)
                return None
        elif refused := self._reader.refused(experiment.identity):
            self._stop(experiment, now, f"a replica could not load the arm {refused}", "version")
            return None
        policy = self._standing_policy(experiment)
        arms = [
            Variant(arm.name, arm.version, arm.digest, arm.weight, policy={**policy, **arm.policy}) for arm in plan.arms
        ]
        return Split(plan.model, tuple(arms), experiment.identity, experiment=experiment.identity)

    def _has_split(self, experiment: Experiment) -> bool:
        plan = experiment.plan
        holder = self._releases.holder(plan.endpoint)
        if holder is not None:
            # Asked before it is claimed: a claim takes the database's write lock, at every tick of who waits in line.
            return holder == experiment.identity
        return self._releases.claim(plan.endpoint, plan.model, experiment.identity, plan.versions)

    def _standing_policy(self, experiment: Experiment) -> Mapping[str, object]:
        """Return the policy that the endpoint has from its last release, on which every arm builds."""
        standing, control = self._releases.standing(experiment.plan.endpoint), experiment.plan.arms[0]
        same = standing is not None and (standing.version, standing.digest) == (control.version, control.digest)
        return standing.policy if standing is not None and same else {}

    def _wait_for(self, experiment: Experiment, version: str, now: float) -> None:
        if experiment.started is not None and now - experiment.started > self._prepare_seconds:
            self._stop(experiment, now, f"version {version} could not be brought", "version")
        else:
            self._experiments.note(experiment, f"version {version} is being brought")

    def _look(self, experiment: Experiment, now: float) -> None:
        if harm := self._privacy.harm(experiment, experiment.began or now, now):
            # Traffic first: figures that cannot be computed keep nobody's face open.
            self._take_back(experiment)
            self._stop(self._last_look(replace(experiment, stopped=now), harm), now, harm, "privacy")
            return
        # One that fails has its pause, too.
        self._next[experiment.identity] = now + self._look_seconds
        look = self._seen(experiment, now)
        experiment = self._experiments.keep_look(experiment, told(look), look.least_p, now)
        self._experiments.note(experiment, "")
        self._metrics.looked(experiment, look)
        if look.verdict.answer != "wait":
            self._stop(experiment, now, look.verdict.stop or look.verdict.sentence, cause(look))

    def _last_look(self, experiment: Experiment, harm: str = "") -> Experiment:
        """Look at what came until the end, if that can be done: it keeps nobody's traffic."""
        stopped = experiment.stopped
        if experiment.began is None or stopped is None or (experiment.looked or 0.0) >= stopped:
            return experiment
        try:
            look = self._seen(experiment, stopped)
            if harm:
                look = replace(look, verdict=harmful(look.verdict, harm))
            return self._experiments.keep_look(experiment, told(look), look.least_p, stopped)
        except Exception:
            log.exception("the last look at an experiment failed", extra={"experiment": experiment.identity})
            return experiment

    def _seen(self, experiment: Experiment, now: float) -> Look:
        plan, began = experiment.plan, experiment.began or now
        arms = [arm.name for arm in plan.arms]
        outcomes = self._experiments.outcomes(experiment.identity)
        rows = self._reader.rows(experiment.identity, plan.metrics)
        seen = observe(rows, outcomes, arms, plan.window_seconds, now)
        past = self._known_past(experiment, began)
        return analysis.look(plan, experiment.needs, seen, past, experiment.least_p, now - began)

    def _known_past(self, experiment: Experiment, began: float) -> Mapping[str, Mapping[str, float]]:
        if experiment.identity not in self._past:
            self._past[experiment.identity] = {
                metric.name: self._reader.before(experiment.plan.endpoint, metric, began)
                for metric in experiment.plan.metrics
                if metric.history
            }
        return self._past[experiment.identity]

    def _stop(self, experiment: Experiment, now: float, why: str, of: str) -> None:
        # Traffic first: should the database go away in between, nobody is served an arm that is to be stopped.
        self._take_back(experiment)
        stopped = self._experiments.move(experiment, state.stop(experiment, now, why), "stop", why)
        log.info("an experiment was stopped", extra={"experiment": experiment.identity, "reason": why})
        self._metrics.stopped(of)
        self._give_back(stopped)

    def _give_back(self, experiment: Experiment) -> None:
        self._releases.free(experiment.plan.endpoint, experiment.identity)
        self._experiments.move(experiment, state.free(experiment), "free")
        self._past.pop(experiment.identity, None)
        self._next.pop(experiment.identity, None)

    def _take_back(self, experiment: Experiment) -> None:
        """Give the champion everything again, with the policy that it had before."""
        found = self._read(experiment)
        if found is None or found.experiment != experiment.identity:
            return
        policy, control = self._standing_policy(experiment), experiment.plan.arms[0]
        model = experiment.plan.model
        if policy and installed(self._root, model) == (control.version, control.digest):
            whole = Variant(CHAMPION, control.version, control.digest, 1.0, policy=policy)
            write_split(self._root, Split(model, (whole,)))
        else:
            remove_split(self._root, model)

    def _read(self, experiment: Experiment) -> Split | None:
        try:
            return read_split(self._root, experiment.plan.model)
        except SplitError:
            # Damaged: whoever has the split writes it anew.
            return None


def experiments_round(settings: Settings, metrics: Metrics) -> Round:
    """Return the loop of experiments as a round over the platform's databases."""
    platform, predictions = Database(settings.database, TABLES), database_of(settings.predictions)
    loop = ExperimentLoop(
        ExperimentStore(platform),
        ReleaseStore(platform),
        PredictionReader(predictions, settings.experiments.history_seconds),
        settings.registry.bundles_path,
        settings.experiments.tick_seconds,
        settings.rollout.prepare_seconds,
        settings.predictions.keep_seconds,
        PrivacyGuard(PredictionStore(predictions).windows, settings.rollout, JUDGED),
        metrics.registry,
    )

    def close() -> None:
        platform.close()
        predictions.close()

    return Round("experiments", settings.rollout.tick_seconds, lambda: loop.tick(time.time()), close)
