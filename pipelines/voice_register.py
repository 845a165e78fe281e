"""Stage `voice_register`: a voice model is champion from the first day, and another only if it is better.

The base model that ships becomes a version and champion where the registry has none, or has an older base. What was
trained here is registered and becomes champion if it beats that base at the gate; if not, the run says why and goes on:
voices are masked all the same.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import mlflow

from masking.evaluation.voice.privacy import UNMASKED, WEAK
from mlops.registry.bundle import Bundle, BundleError, open_bundle
from mlops.registry.mlflow import Registry, Version
from mlops.registry.settings import RegistrySettings
from mlops.rollout.gate import Verdict, decide, flatten
from mlops.settings import load_settings
from pipelines.figures import VOICE_METRICS
from pipelines.params import VoiceRegister, load_params
from pipelines.provenance import data_version, git_commit
from pipelines.tracking import run_of
from pipelines.voice.bundles import with_figures
from pipelines.voice.comparison import compared

BASE: Final = Path("data/voice-base")
CANDIDATE: Final = Path("data/voice-model")
OUT: Final = Path("data/voice-registered.json")
ORIGIN: Final = "origin"
STYLE: Final = "strong"
"""The style that the graph is for; its figures go with a version."""
BESIDE: Final = (UNMASKED, WEAK)
INGESTED: Final = "data/voices-ingested"


def judge(figures: Mapping[str, Any], params: VoiceRegister) -> Verdict:
    """Hold the figures of the candidate, and what it gained on the base, against the rules of params.yaml."""
    return decide(flatten(compared(figures)), [rule.as_rule() for rule in params.gate])


def is_older_base(champion: Version, base: Bundle) -> bool:
    """Say whether the champion is a base model, and another than the one that ships now."""
    return champion.tags.get(ORIGIN) == "base" and champion.digest != base.digest


def register(
    settings: RegistrySettings, registry: Registry, bundle: Bundle, origin: str, figures: Mapping[str, Any], name: str
) -> Version:
    """Log a bundle and its figures as a run, register it, and make it champion.

    What the same attackers reached without a mask and behind McAdams goes with the run, for they are what a figure is
    read against.

    Args:
        settings: Where runs are tracked.
        registry: Where it is registered.
        bundle: What is registered.
        origin: ``base`` or ``trained``.
        figures: Of the evaluation.
        name: What the evaluation calls it: ``base`` or ``candidate``.
    """
    source = data_version(INGESTED, "voice_ingest") if origin == "trained" else "LibriSpeech"
    tags = {ORIGIN: origin, "git_commit": git_commit(), "data_version": source, "architecture": bundle.architecture}
    flat = flatten(figures.get(name, {}))
    beside = flatten({each: figures[each] for each in BESIDE if each in figures})
    with run_of(settings, settings.voice_model, f"{origin}-{bundle.architecture}", tags) as run_id:
        mlflow.log_metrics(flat | beside)
        mlflow.log_artifacts(str(bundle.folder), "bundle")
        told = {name: f"{value:.4g}" for name, value in flat.items() if name.count(".") < 2}
        version = registry.register(settings.voice_model, run_id, "bundle", bundle.digest, told | tags)
    return registry.promote(settings.voice_model, version.version)


def release(
    settings: RegistrySettings, base: Bundle, candidate: Bundle, figures: Mapping[str, Any], params: VoiceRegister
) -> tuple[Version, list[str]]:
    """Make champion what is to be; gives the champion, and in words what was done.

    Args:
        settings: Where runs are tracked and models registered.
        base: The model that ships.
        candidate: What was trained.
        figures: Of the evaluation: ``valid``, and those of ``base`` and ``candidate``.
        params: Section `voice_register` of params.yaml.
    """
    registry, lines = Registry(settings.tracking_uri), []
    champion = registry.champion(settings.voice_model)
    if champion is None or is_older_base(champion, base):
        champion = register(settings, registry, base, "base", figures, "base")
        lines.append(f"{champion.name} version {champion.version}, the base model, is champion")
    verdict = judge(figures, params)
    if not verdict.passed:
        lines.append("what was trained is not registered: " + "; ".join(verdict.reasons))
        return champion, lines
    with TemporaryDirectory() as folder:
        told = with_figures(candidate, {STYLE: figures["candidate"]}, Path(folder) / "bundle")
        if told.digest != champion.digest:
            champion = register(settings, registry, told, "trained", figures, "candidate")
    lines.append(f"{champion.name} version {champion.version}, trained here, is champion")
    return champion, lines


def main() -> int:
    """Register what is to be; the exit code is 1 where a bundle is damaged, not where the gate is closed."""
    settings, params = load_settings().registry, load_params().voice_register
    figures = json.loads(VOICE_METRICS.read_text(encoding="utf-8"))
    try:
        base, candidate = open_bundle(BASE, "base"), open_bundle(CANDIDATE, "candidate")
        champion, lines = release(settings, base, candidate, figures, params)
    except BundleError as error:
        sys.stderr.write(f"voice_register: {error}\n")
        return 1
    told = {"name": champion.name, "version": champion.version, "said": lines}
    OUT.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    sys.stderr.writelines(f"voice_register: {line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
