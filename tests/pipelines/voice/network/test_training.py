"""A tiny training, from frames to the graph; only where PyTorch is, which is not where the other tests run."""

from collections.abc import Callable

import numpy as np
import pytest

from masking.voice.loading import open_graph
from pipelines.params import VoiceNetwork as Params
from pipelines.voice.network.frames import Frames
from pipelines.voice.network.targets import targets_of

pytest.importorskip("torch")

People = Callable[..., Frames]
TRACTS = [0.9, 1.0, 1.1, 0.95]


def test_a_network_learns_and_its_graph_says_the_same_whatever_surrounds_its_context(people: People) -> None:
    from pipelines.voice.network.export import exported
    from pipelines.voice.network.train import agreement, facts, train

    frames = people(TRACTS, held={3})
    targets, params = targets_of(frames), Params(steps=40, decoder_steps=4, batch=4, window=112)
    network = train(frames, targets, params)
    told = facts(network, frames, targets, params, 1.0)
    assert (told["people"], told["people_held_aside"], told["utterances"]) == (3, 1, 6)
    assert agreement(network, frames, held=True)["phones"] > 4 / 17

    graph = open_graph(exported(network, targets.average))
    mel = np.random.default_rng(0).normal(-5, 2, (graph.left + 9 + graph.right, 80)).astype(np.float32)
    other = np.concatenate([mel[:1] + 3, mel, mel[-1:] - 3])
    envelope, voicing = graph(mel)
    assert envelope.shape == (9, 80)
    assert (voicing.min() >= 0) & (voicing.max() <= 1)
    assert np.allclose(graph(other)[0][1:-1], envelope, atol=1e-3), "the context that it names is all that it needs"


def test_the_same_seed_gives_the_same_network(people: People) -> None:
    from pipelines.voice.network.train import train

    frames = people([0.9, 1.0])
    targets = targets_of(frames)
    first, again, other = (
        train(frames, targets, Params(steps=2, decoder_steps=1, batch=2, window=32, seed=seed)).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(first[name].equal(again[name]) for name in first)
    assert not all(first[name].equal(other[name]) for name in first)


def test_the_decoder_never_teaches_the_encoder(people: People) -> None:
    from pipelines.voice.network.batches import Batches
    from pipelines.voice.network.model import VoiceNetwork
    from pipelines.voice.network.train import losses

    frames = people([0.9, 1.0])
    params, network = Params(), VoiceNetwork()
    losses(network, Batches(frames, targets_of(frames), 2, 32, 0).draw(), params).envelope.backward()
    assert network.codes.weight.grad.abs().sum() > 0
    assert all(each.grad is None for each in [*network.stem.parameters(), *network.heard.parameters()])
