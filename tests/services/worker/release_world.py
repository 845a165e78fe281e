"""A folder of bundles and a database over which the release loop runs, and what the variants of a release did."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from mlops.database import Database, DatabaseAway
from mlops.registry.bundle import installed, place, point, write_manifest
from mlops.rollout import state
from mlops.rollout.guard import Window
from mlops.rollout.router import choose
from mlops.rollout.settings import RolloutSettings
from mlops.rollout.state import Release, Step
from mlops.rollout.store import ReleaseStore, new_identity
from mlops.rollout.strategies import Wish, plan
from mlops.rollout.table import TABLES
from mlops.rollout.traffic import effective
from mlops.settings import DatabaseSettings, load_settings
from services.worker.releases import ReleaseLoop

MODEL, ENDPOINT = "face-detector", "faces"
SETTINGS = load_settings(environ={}).rollout
GOOD = Window(1000, 0, np.full(1000, 0.1), judged=100)
BAD = replace(GOOD, failed=300)
STEPS = (Step(0.1, 60, 50), Step(0.5, 60, 50))


@dataclass
class World:
    """A folder of bundles, a database, figures, and time that passes when a test says so."""

    folder: Path
    now: float = 1_000_000.0
    candidate: Window = GOOD
    baseline: Window = GOOD
    before: Window | None = None
    """What the baseline did before, if that is something else than what it does beside the candidate."""
    before_seconds: float = 0.0
    """How long a stretch before must be for those figures to be in it."""
    replicas: frozenset[str] = frozenset({"one"})
    settings: RolloutSettings = SETTINGS
    asked: list[tuple[str, float, float, str | None]] = field(default_factory=list)
    away: bool = False

    def __post_init__(self) -> None:
        url = SecretStr(f"sqlite:///{self.folder}/platform.db")
        self.database = Database(DatabaseSettings(url=url, password_file=None), TABLES)
        self.store = ReleaseStore(self.database, lambda: self.now)
        self.root = self.folder / "bundles"
        self.digests = {version: self.put(version) for version in ("1", "2", "3")}
        point(self.root, MODEL, "1", self.digests["1"])
        self.restart()

    def put(self, version: str) -> str:
        """Lay a bundle into the folder."""
        made = self.folder / f"made-{version}"
        made.mkdir()
        (made / "graph.onnx").write_text(f"graph of version {version}")
        (made / "golden.npz").write_text("golden")
        digest = write_manifest(made, MODEL, "some-net", {"fp32": "graph.onnx"}, "golden.npz")
        place(made, self.root, MODEL, version, digest)
        return digest

    def restart(self) -> None:
        """Start the loop as a new process would."""
        self.collectors = CollectorRegistry()
        self.loop = ReleaseLoop(
            self.store,
            self.root,
            self.windows,
            self.settings,
            frozenset({ENDPOINT}),
            lambda: self.replicas,
            self.collectors,
        )

    def windows(
        self, endpoint: str, since: float, until: float, release: str | None
    ) -> Mapping[tuple[str, str], Window]:
        """Give the figures, as `mlops.predictions.store.PredictionStore.windows` does."""
        self.asked.append((endpoint, since, until, release))
        if self.away:
            raise DatabaseAway("no rows today")
        if since >= until or (release is None and until - since < self.before_seconds):
            return {}
        figures = {("champion", "1"): self.baseline if release or self.before is None else self.before}
        return figures if release is None else figures | {("challenger", "2"): self.candidate}

    def ask(self, strategy: str = "canary", **others: Any) -> Release:
        wish = Wish(
            ENDPOINT, MODEL, strategy, ("2", self.digests["2"]), ("1", self.digests["1"]), "low", "ada", "it is better"
        )
        steps = STEPS if strategy in ("canary", "rolling") else ()
        planned = plan(new_identity(), replace(wish, **{"steps": steps} | others), SETTINGS, self.now)
        return self.store.create(planned)[0]

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.loop.tick(self.now)

    def release(self, identity: str) -> Release:
        found = self.store.get(identity)
        assert found is not None
        return found

    def act(self, release: Release, action: str, *more: Any) -> Release:
        move = getattr(state, action)
        return self.store.act(release.identity, "bob", action, lambda each, now: move(each, now, *more), "because")

    def weight(self) -> float:
        """Give the share of the traffic that version 2 gets now."""
        split = effective(self.root, MODEL)
        assert split is not None
        if split.rolling is not None:
            return len(self.changed()) / len(self.replicas)
        return sum(each.weight for each in split.variants if each.version == "2")

    def changed(self) -> frozenset[str]:
        """Give the replicas that have changed over to version 2."""
        split = effective(self.root, MODEL)
        assert split is not None
        return frozenset(each for each in self.replicas if choose(split, "anybody", each).version == "2")

    def champion(self) -> str:
        pointer = installed(self.root, MODEL)
        assert pointer is not None
        return pointer[0]

    def aliases(self) -> dict[str, str | None]:
        return {each.alias: each.version for each in self.store.aliases_pending()}

    def count(self, name: str, **labels: str) -> float:
        return self.collectors.get_sample_value(name, labels) or 0.0
