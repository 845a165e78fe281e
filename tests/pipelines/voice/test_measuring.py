"""The figures of a voice model, on a few procedural speakers."""

from pathlib import Path

import numpy as np
import pytest

from masking.voice.loading import VoiceModel, load_voice
from masking.voice.types import Mono
from mlops.registry.bundle import open_bundle
from mlops.rollout.gate import flatten
from pipelines.params import VoiceEvaluate, VoiceIngest
from pipelines.voice.dataset import Utterance
from pipelines.voice.measuring import mask_of, measure, utility
from pipelines.voice.plots import draw_trade_off
from pipelines.voice_evaluate import summary
from pipelines.voice_ingest import procedural

PARAMS = VoiceEvaluate(utterances=2, word_speakers=2, compared=2)


@pytest.fixture(scope="module")
def said() -> list[Utterance]:
    return list(procedural(VoiceIngest(speakers=6, utterances=2, words=3, espeak=False), 2))


@pytest.fixture(scope="module")
def model(voice_bundle: Path) -> VoiceModel:
    return load_voice(open_bundle(voice_bundle, "1"))


def of(said: list[Utterance], split: str) -> list[Utterance]:
    return [each for each in said if each.split == split]


def test_speakers_are_split_with_their_words_and_as_many_of_each_sex(said: list[Utterance]) -> None:
    for split in ("train", "attack", "test"):
        speakers = {each.speaker: each.sex for each in of(said, split)}
        assert sorted(str(sex) for sex in speakers.values()) == ["f", "m"]
        assert {each.kind for each in of(said, split)} == {"phrase", "word"}
    assert len({each.word for each in said if each.word}) == 3


def test_a_mask_draws_another_voice_for_another_number(model: VoiceModel, said: list[Utterance]) -> None:
    samples = said[0].samples
    mask = mask_of(model)
    first, again, other = mask(samples, 1), mask(samples, 1), mask(samples, 2**63)
    np.testing.assert_array_equal(first, again)
    assert first.shape == samples.shape
    assert not np.array_equal(first, other)


def test_among_too_few_people_nothing_is_proved_and_the_reason_is_told(
    model: VoiceModel, said: list[Utterance], tmp_path: Path
) -> None:
    figures = measure({"candidate": model}, of(said, "attack"), of(said, "test"), of(said, "train"), PARAMS)
    assert figures["valid"] is False
    assert "people" in figures["reason"]
    assert figures["on_procedural_speakers"] is True
    assert figures["candidate"]["same_length"]
    assert abs(figures["candidate"]["sync_milliseconds"]) <= 20
    assert 0 <= flatten(figures)["candidate.words"] <= 1
    assert "NOT VALID" in summary(figures)
    draw_trade_off(figures, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_what_is_not_there_is_left_out_and_nothing_is_like_itself(said: list[Utterance]) -> None:
    def hiss(samples: Mono, number: int) -> Mono:
        rng = np.random.default_rng(number)
        return (1e-3 * rng.standard_normal(len(samples))).astype(np.float32)

    figures = utility({"hiss": hiss}, of(said, "test"), of(said, "train"), PARAMS)
    assert figures["none"]["pitch_correlation"] == pytest.approx(1.0)
    assert figures["none"]["voicing_agreement"] == 1.0
    assert "pitch_correlation" not in figures["hiss"], "a hiss has no melody: the figure is missing, not a number"
    assert figures["hiss"]["voicing_agreement"] < 0.8
    assert set(figures["none"]) >= {"words", "same_length"}
    assert "words" not in utility({}, of(said, "test"), [], PARAMS)["none"], "nobody taught the judge"
