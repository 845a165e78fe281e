import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from masking.face.maskers import STYLES as FACE_STYLES
from masking.voice.maskers import STYLES as VOICE_STYLES
from services.serving.voices import read_figures

FIGURES = {"strong": {"eer": {"lowest": 0.31, "interval": [0.25, 0.37]}, "speakers": 24, "words": None}}


def test_every_style_is_told_with_what_it_is_good_for(client: TestClient) -> None:
    told = client.get("/v1/styles").json()
    assert [style["name"] for style in told["faces"]] == list(FACE_STYLES)
    assert [style["name"] for style in told["voices"]] == list(VOICE_STYLES)
    assert all(len(style["label"]) > 20 for style in told["faces"] + told["voices"])
    defaults = {style["name"] for style in told["faces"] + told["voices"] if style["default"]}
    assert defaults == {"solid", "strong"}
    labels = {style["name"]: style["label"] for style in told["voices"]}
    assert "nobody is anonymous" in labels["disguise"]
    available = {style["name"]: style["available"] for style in told["faces"]}
    assert (available["solid"], available["averages"]) == (True, False), "this model was trained with too few people"


def test_figures_stand_beside_the_voices_they_were_measured_of(make_client: Callable[..., Any], voices: Any) -> None:
    voices.figures = FIGURES
    with make_client() as client:
        told = {style["name"]: style for style in client.get("/v1/styles").json()["voices"]}
    assert (told["strong"]["figures"], told["strong"]["model_version"]) == (FIGURES["strong"], "1")
    assert told["disguise"]["figures"] is None, "what was not measured is not told"


def test_without_models_the_styles_are_told_and_cannot_be_had(
    make_client: Callable[..., Any], registry: Any, voices: Any
) -> None:
    registry.version = voices.version = None
    with make_client() as client:
        told = client.get("/v1/styles").json()
    assert not any(style["available"] for style in told["faces"] + told["voices"])
    assert {style["figures"] for style in told["voices"]} == {None}


def test_a_parameter_is_refused(client: TestClient) -> None:
    assert client.get("/v1/styles", params={"style": "strong"}).status_code == 422


@pytest.mark.parametrize("text", ["nonsense", "[1, 2]", '{"strong": 3}', '{"strong": {"eer": NaN}}'])
def test_figures_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "figures.json").write_text(text)
    assert read_figures(tmp_path / "figures.json") == {}
    assert read_figures(tmp_path / "away.json") == read_figures(None) == {}


def test_figures_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text(json.dumps(FIGURES))
    assert read_figures(tmp_path / "figures.json") == FIGURES
