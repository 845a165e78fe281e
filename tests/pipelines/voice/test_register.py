"""Which voice model becomes champion, with the rules that ship and the real MLflow on a database file."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlops.registry.bundle import Bundle, open_bundle
from mlops.registry.mlflow import Registry
from mlops.registry.settings import RegistrySettings
from mlops.settings import load_settings
from pipelines.params import load_params
from pipelines.voice.bundles import with_figures
from pipelines.voice_register import judge, release

ROOT = Path(__file__).resolve().parents[3]
PARAMS = load_params(ROOT / "params.yaml").voice_register
BETTER: dict[str, Any] = {
    "valid": True,
    "on_procedural_speakers": False,
    "base": {"eer": 0.30, "rank1": 0.12, "words": 0.80},
    "candidate": {"eer": 0.33, "rank1": 0.11, "words": 0.80},
}
WORSE: dict[str, Any] = {"valid": False, "reason": "too few people"}


@pytest.fixture
def settings(empty_registry: Path, tmp_path: Path) -> Iterator[RegistrySettings]:
    shutil.copyfile(empty_registry, tmp_path / "mlflow.db")
    given = load_settings(environ={}).registry
    changed = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "artifacts": str(tmp_path / "artifacts")}
    yield given.model_copy(update=changed)
    mlflow.set_tracking_uri("sqlite:///:memory:")


def test_a_better_candidate_passes() -> None:
    assert judge(BETTER, PARAMS).passed


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("valid", False, "valid"),
        ("on_procedural_speakers", True, "on_procedural_speakers"),
        ("candidate.eer", 0.30, "eer_gained"),
        ("candidate.eer", 0.1, "eer_gained"),
        ("candidate.eer", None, "eer_gained was not measured"),
        ("candidate.rank1", 0.3, "rank1_added"),
        ("candidate.words", 0.7, "words_lost"),
        ("base.words", None, "words_lost was not measured"),
    ],
)
def test_one_figure_that_is_not_better_closes_the_gate_and_is_named(path: str, value: object, reason: str) -> None:
    figures = copy.deepcopy(BETTER)
    *way, leaf = path.split(".")
    place = figures
    for step in way:
        place = place[step]
    if value is None:
        del place[leaf]
    else:
        place[leaf] = value
    verdict = judge(figures, PARAMS)
    assert not verdict.passed
    assert reason in " ".join(verdict.reasons)


def other(bundle: Bundle, folder: Path) -> Bundle:
    """The same model with something else told of it: another bundle."""
    return with_figures(bundle, {"strong": {"eer": 0.2}}, folder)


def test_the_base_is_champion_from_the_first_day_and_stays_it_until_it_is_beaten(
    settings: RegistrySettings, voice_bundle: Path, tmp_path: Path
) -> None:
    registry = Registry(settings.tracking_uri)
    base = open_bundle(voice_bundle, "base")
    candidate = other(base, tmp_path / "candidate")

    champion, lines = release(settings, base, candidate, WORSE, PARAMS)
    assert (champion.version, champion.digest, champion.tags["origin"]) == ("1", base.digest, "base")
    assert "not registered" in lines[-1]
    assert "valid" in lines[-1]

    champion, lines = release(settings, base, candidate, WORSE, PARAMS)
    assert champion.version == "1", "nothing new, so no new version"
    assert len(registry.versions(settings.voice_model)) == 1

    champion, _ = release(settings, base, candidate, BETTER, PARAMS)
    assert (champion.version, champion.tags["origin"], champion.tags["eer"]) == ("2", "trained", "0.33")
    pulled = registry.pull(settings.voice_model, tmp_path / "bundles")
    assert pulled is not None
    assert pulled.figures is not None
    assert json.loads(pulled.figures.read_text())["strong"]["eer"] == 0.33
    assert pulled.vad is not None

    champion, _ = release(settings, base, candidate, BETTER, PARAMS)
    assert champion.version == "2", "the same candidate is not registered twice"
    champion, _ = release(settings, base, candidate, WORSE, PARAMS)
    assert champion.version == "2", "a trained champion is not taken down for a base"


def test_what_the_same_attackers_reached_without_a_mask_goes_with_a_version(
    settings: RegistrySettings, voice_bundle: Path
) -> None:
    base = open_bundle(voice_bundle, "base")
    beside = {"none": {"eer": 0.02, "words": 0.88}, "mcadams": {"eer": 0.1}}
    champion, _ = release(settings, base, base, {**WORSE, **beside, "base": {"eer": 0.35}}, PARAMS)
    metrics = mlflow.get_run(champion.run_id).data.metrics
    assert metrics == {"eer": 0.35, "none.eer": 0.02, "none.words": 0.88, "mcadams.eer": 0.1}
    assert "none.eer" not in champion.tags


def test_a_newer_base_replaces_an_older_one(settings: RegistrySettings, voice_bundle: Path, tmp_path: Path) -> None:
    old = open_bundle(voice_bundle, "base")
    new = other(old, tmp_path / "new")
    release(settings, old, old, WORSE, PARAMS)
    champion, _ = release(settings, new, old, WORSE, PARAMS)
    assert (champion.version, champion.digest) == ("2", new.digest)
