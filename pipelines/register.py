"""Stage `register`: the gate decides; what passes becomes a registered version, what fails nothing.

The first version becomes champion, since there is nothing to compare it with; a later one becomes challenger.
"""

import json
import sys
from pathlib import Path

import mlflow

from mlops.registry.bundle import BundleError, open_bundle
from mlops.registry.mlflow import Registry, Version
from mlops.rollout.gate import Verdict, decide, flatten
from mlops.settings import load_settings
from pipelines.figures import METRICS
from pipelines.params import Register, load_params
from pipelines.provenance import data_version, git_commit
from pipelines.tracking import same_run

BUNDLE = Path("data/model")
OUT = Path("data/registered.json")
TAGGED = (
    "detection.int8.recall",
    "detection.int8.false_boxes_per_image",
    "speed.cpu_ratio",
    "privacy.face.solid.rank1",
    "privacy.face.unmasked.rank1",
)


class GateClosed(Exception):
    """The candidate did not pass the gate; the message says why."""


def judge(figures: dict[str, object], params: Register) -> Verdict:
    """Hold the figures of the evaluation against the rules of params.yaml."""
    return decide(flatten(figures), [rule.as_rule() for rule in params.gate])


def register(registry: Registry, name: str, run_id: str, figures: dict[str, object], params: Register) -> Version:
    """Register the candidate, as champion where there is none and as challenger elsewhere.

    Raises:
        GateClosed: A rule of the gate is broken; nothing was registered.
        BundleError: The bundle on disk is damaged.
    """
    verdict = judge(figures, params)
    if not verdict.passed:
        raise GateClosed("nothing was registered: " + "; ".join(verdict.reasons))
    bundle = open_bundle(BUNDLE, "candidate")
    flat = flatten(figures)
    tags = {metric: f"{flat[metric]:.4g}" for metric in TAGGED if metric in flat}
    tags |= {"git_commit": git_commit(), "data_version": data_version(), "gate": "passed"}
    version = registry.register(name, run_id, "bundle", bundle.digest, tags)
    return registry.admit(name, version.version)


def main() -> int:
    """Register data/model if the gate lets it; the exit code is 1 if not."""
    settings, params = load_settings().registry, load_params()
    figures = json.loads(METRICS.read_text(encoding="utf-8"))
    with same_run(settings) as run_id:
        try:
            version = register(Registry(settings.tracking_uri), settings.model, run_id, figures, params.register_)
        except (GateClosed, BundleError) as error:
            mlflow.set_tag("gate", f"closed: {error}"[:5000])
            sys.stderr.write(f"register: {error}\n")
            return 1
        mlflow.set_tag("gate", "passed")
    OUT.write_text(json.dumps({"name": version.name, "version": version.version}) + "\n", encoding="utf-8")
    sys.stderr.write(f"register: {version.name} version {version.version} is {version.standing}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
