"""The codebook and its graph, on procedural speakers."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from masking.onnx import open_session
from masking.voice.types import BANDS
from pipelines.voice.codebook import Codebook, Recording, TooFewSpeakers, learn
from pipelines.voice.codebook_graph import to_graph

SPEAKERS = 8


@pytest.fixture(scope="module")
def graph(codebook: Codebook) -> onnx.ModelProto:
    return to_graph(codebook)


def run(graph: onnx.ModelProto, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    envelope, voicing = open_session(graph.SerializeToString()).run(["envelope", "voicing"], {"mel": mel[None]})
    return envelope[0], voicing[0]


def test_every_entry_is_an_average_of_enough_speakers(codebook: Codebook) -> None:
    assert codebook.speakers.min() >= 5
    assert 4 <= len(codebook.centres) <= 24
    assert codebook.shapes.shape == (len(codebook.centres), BANDS)
    np.testing.assert_allclose(codebook.shapes.mean(axis=1), 0, atol=1e-4)
    assert ((codebook.voicing >= 0) & (codebook.voicing <= 1)).all()


def test_with_fewer_speakers_than_wished_all_are_in_each_entry(recordings: list[Recording]) -> None:
    assert (learn(recordings, 8, 20, seed=0).speakers == SPEAKERS).all()


def test_an_entry_is_the_mean_of_the_means_of_its_speakers() -> None:
    low, high = np.linspace(-1, 1, BANDS), np.linspace(1, -1, BANDS)
    talkative = Recording("a", np.tile(low, (90, 1)).astype(np.float32), np.ones(90, np.float32))
    silent = Recording("b", np.tile(high, (10, 1)).astype(np.float32), np.zeros(10, np.float32))
    learned = learn([talkative, silent], 1, 2, seed=0)
    np.testing.assert_allclose(learned.shapes[0], 0, atol=1e-5)
    np.testing.assert_allclose(learned.voicing, 0.9)
    np.testing.assert_allclose(learned.average, 0, atol=1e-5)


def test_the_same_seed_gives_the_same_codebook(recordings: list[Recording], codebook: Codebook) -> None:
    np.testing.assert_array_equal(learn(recordings, 24, 5, seed=0).shapes, codebook.shapes)


def test_one_speaker_is_nobody_to_average(recordings: list[Recording]) -> None:
    with pytest.raises(TooFewSpeakers):
        learn(recordings[:1], 8, 2, seed=0)


def test_what_comes_out_is_an_average_or_lies_between_averages(
    graph: onnx.ModelProto, codebook: Codebook, recordings: list[Recording]
) -> None:
    mel = recordings[0].mel
    envelope, voicing = run(graph, mel)
    assert envelope.shape == mel.shape
    assert ((voicing >= 0) & (voicing <= 1)).all()
    shape = envelope - mel.mean(axis=1, keepdims=True)
    assert (shape <= codebook.shapes.max(axis=0) + 1e-4).all()
    assert (shape >= codebook.shapes.min(axis=0) - 1e-4).all()
    assert len(np.unique(np.round(shape, 3), axis=0)) <= len(codebook.centres) ** 3


def test_loudness_and_a_constant_colour_change_nothing_but_the_level(
    graph: onnx.ModelProto, recordings: list[Recording]
) -> None:
    mel = recordings[0].mel
    colour = np.linspace(-0.5, 0.5, BANDS, dtype=np.float32)
    plain, _ = run(graph, mel)
    coloured, _ = run(graph, mel + 1 + colour - colour.mean())
    assert np.mean(np.abs(coloured - 1 - plain).max(axis=1) < 1e-3) > 0.9


@pytest.mark.parametrize(("first", "last"), [(0, 30), (100, 140), (240, 280), (300, 320)])
def test_the_context_that_the_graph_states_is_enough(
    graph: onnx.ModelProto, recordings: list[Recording], first: int, last: int
) -> None:
    mel = np.concatenate([each.mel for each in recordings])
    context = {each.key: each.value for each in graph.metadata_props}
    assert context["kind"] == "codebook"
    low, high = max(0, first - int(context["left"])), last + int(context["right"])
    whole, _ = run(graph, mel)
    part, _ = run(graph, mel[low:high])
    np.testing.assert_allclose(part[first - low : last - low], whole[first:last], atol=1e-4)


def test_the_graph_is_small_and_the_same_each_time(graph: onnx.ModelProto, codebook: Codebook, tmp_path: Path) -> None:
    data = graph.SerializeToString(deterministic=True)
    assert len(data) < 2_000_000
    assert to_graph(codebook).SerializeToString(deterministic=True) == data
