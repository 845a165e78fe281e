"""`python -m services.worker --promote`: which models there are to promote versions of."""

from pathlib import Path

import pytest

from mlops.registry.mlflow import Registry
from mlops.settings import Settings, load_settings
from services.worker.__main__ import promote


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"MASKER_REGISTRY__TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"})


@pytest.mark.parametrize("model", ["face-detector", "voice-masker", "demo"])
def test_a_version_of_any_model_becomes_champion(
    settings: Settings, logged_run: str, logged_digest: str, model: str
) -> None:
    registry = Registry(settings.registry.tracking_uri)
    for _ in range(2):
        registry.register(model, logged_run, "bundle", logged_digest, {})
    assert promote(settings, model, "2") == 0
    champion = registry.champion(model)
    assert champion is not None
    assert champion.version == "2"


@pytest.mark.parametrize(
    ("model", "version", "told"), [("face-masker", "1", "voice-masker"), ("voice-masker", "newest", "number")]
)
def test_what_is_no_model_or_no_number_is_told(
    settings: Settings, capsys: pytest.CaptureFixture[str], logged_run: str, model: str, version: str, told: str
) -> None:
    Registry(settings.registry.tracking_uri).register("voice-masker", logged_run, "bundle", "d" * 64, {})
    assert promote(settings, model, version) == 2
    assert told in capsys.readouterr().err


def test_a_version_that_is_not_there_is_told(
    settings: Settings, logged_run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Registry(settings.registry.tracking_uri).register("voice-masker", logged_run, "bundle", "d" * 64, {})
    assert promote(settings, "voice-masker", "7") == 1
    assert "7" in capsys.readouterr().err
