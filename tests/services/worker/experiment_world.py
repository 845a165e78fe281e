"""Databases, bundles and a split over which the loop of experiments runs, and rows as serving writes them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from mlops.database import Database
from mlops.experiments import state
from mlops.experiments.plan import Arm, Metric, Plan
from mlops.experiments.power import duration
from mlops.experiments.privacy import PrivacyGuard
from mlops.experiments.reading import PredictionReader
from mlops.experiments.state import Experiment
from mlops.experiments.store import ExperimentStore
from mlops.experiments.table import TABLES
from mlops.predictions.recorder import database_of
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.store import PredictionStore
from mlops.predictions.table import PREDICTIONS
from mlops.registry.bundle import open_bundle, place, point, write_manifest
from mlops.rollout.router import choose
from mlops.rollout.store import ReleaseStore
from mlops.rollout.traffic import effective
from mlops.settings import load_settings
from services.worker.experiment_metrics import CAUSES
from services.worker.experiments import ExperimentLoop
from services.worker.releases import JUDGED

MODEL = "face-detector"
NOW = 1_000_000.0
ERRORS = Metric("errors", "binary", "error", baseline=0.2, minimum_effect=0.5)


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = NOW + 62

    def __call__(self) -> float:
        return self.now


@dataclass
class Place:
    """A platform with two versions on disk, of which the first is champion."""

    folder: Path
    bundle: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        places = {
            "DATABASE__URL": f"sqlite:///{self.folder}/platform.db",
            "REGISTRY__BUNDLES_PATH": str(self.folder / "bundles"),
            "PREDICTIONS__URL": f"sqlite:///{self.folder}/predictions.db",
        }
        self.settings = load_settings(environ={f"MASKER_{name}": value for name, value in places.items()})
        self.root = self.settings.registry.bundles_path
        self.digest = open_bundle(self.bundle, "1").digest
        self.digests = {MODEL: self.digest}
        self.put(MODEL, self.bundle, self.digest)
        self.platform = Database(self.settings.database, TABLES)
        self.predictions = database_of(self.settings.predictions)
        self.experiments = ExperimentStore(self.platform, self.clock)
        self.releases = ReleaseStore(self.platform)

    def put(self, model: str, bundle: Path, digest: str) -> None:
        """Lay both versions of a model into the folder of bundles, and make the first one champion."""
        for version in ("1", "2"):
            place(bundle, self.root, model, version, digest)
        point(self.root, model, "1", digest)

    def put_demo(self) -> None:
        """Lay a model into the folder that masks nothing."""
        made = self.folder / "made"
        made.mkdir()
        (made / "graph.onnx").write_text("graph")
        (made / "golden.npz").write_text("golden")
        self.digests["demo"] = write_manifest(made, "demo", "some-net", {"fp32": "graph.onnx"}, "golden.npz")
        self.put("demo", made, self.digests["demo"])

    def reader(self) -> PredictionReader:
        return PredictionReader(self.predictions, 1e6)

    def loop(self, clock: Callable[[], float] = lambda: 0.0) -> ExperimentLoop:
        """Begin a loop; however slow the machine, no look takes any time unless the clock says so."""
        self.collectors = CollectorRegistry()
        return ExperimentLoop(
            self.experiments, self.releases, self.reader(), self.root, 60.0, 120.0, 1000.0,
            PrivacyGuard(PredictionStore(self.predictions).windows, self.settings.rollout, JUDGED),
            self.collectors, clock,
        )  # fmt: skip

    def shown(self, name: str, **labels: str) -> float | None:
        return self.collectors.get_sample_value(f"masker_experiment{name}", labels)

    def causes(self) -> dict[str, float]:
        """Give how many experiments were stopped, by why."""
        counted = {each: self.shown("s_stopped_total", cause=each) or 0.0 for each in CAUSES}
        return {name: count for name, count in counted.items() if count}

    def started(
        self,
        *metrics: Metric,
        policy: dict[str, float] | None = None,
        window_seconds: float = 0.0,
        weight: float = 0.5,
        endpoint: str = "faces",
        identity: str = "e" * 32,
    ) -> Experiment:
        model = MODEL if endpoint == "faces" else endpoint
        digest = self.digests[model]
        arms = Arm("champion", "1", 1 - weight, digest), Arm("challenger", "2", weight, digest, policy or {})
        plan = Plan(endpoint, model, arms, metrics or (ERRORS,), 0.05, 0.8, 1e6, window_seconds, 50)
        # The name is the salt of the split: a new one each time would draw other subjects, and some day odd ones.
        made = Experiment(identity, plan, duration(plan, {}, 1e5), "draft", "ada", "to know", NOW)
        self.experiments.create(made)
        return self.experiments.act(made.identity, "ada", "start", lambda each, _: state.start(each, NOW))

    def now(self, experiment: Experiment) -> Experiment:
        return self.experiments.get(experiment.identity)

    def write(self, rows: list[Prediction]) -> None:
        told = [
            {column.name: getattr(each, column.name) for column in PREDICTIONS.columns if column.name != "faces"}
            | {"faces": each.counts.get("faces")}
            for each in rows
        ]
        with self.predictions.transaction() as connection:
            connection.execute(sa.insert(PREDICTIONS), told)

    def serve(self, subjects: int, rates: dict[str, float], seed: int = 1) -> None:
        """Answer requests as serving does, and write their rows."""
        split = effective(self.root, MODEL)
        assert split is not None
        random = np.random.default_rng(seed)
        rows = []
        for number in range(subjects):
            subject = f"{seed}-{number}"
            variant = choose(split, subject)
            failed = random.random() < rates[variant.name]
            rows.append(row(split.experiment, subject, variant.name, "failed" if failed else "ok", number))
        self.write(rows)


def row(experiment: str, subject: str, variant: str, outcome: str, number: int, **more: object) -> Prediction:
    return Prediction(
        new_identity(), NOW + number / 1000, "faces", MODEL, "1", variant, "", experiment, subject, outcome, 200, 0.05,
        {}, {"faces": 1.0}, **more,
    )  # fmt: skip
