"""Second step of `make train-voice`: the network learns from data/voice-network/frames.npz.

    python -m pipelines.voice.network.train

writes data/voice-network/network.pt and data/voice-network/training.json. The decoder learns from what the encoder
says, but the encoder never from the decoder: a phone must not carry a speaker because that would help to say it.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pipelines.params import VoiceNetwork as Params
from pipelines.params import load_params
from pipelines.voice.network import frames as hearing
from pipelines.voice.network.batches import Batch, Batches
from pipelines.voice.network.frames import Frames
from pipelines.voice.network.model import VoiceNetwork
from pipelines.voice.network.phones import CLASSES, SILENCE, STATES, UNKNOWN
from pipelines.voice.network.targets import Targets, targets_of

NETWORK: Final = Path("data/voice-network/network.pt")
FACTS: Final = Path("data/voice-network/training.json")
WARM_UP: Final = 0.15
"""Share of the steps in which the rate of learning rises."""
SILENT: Final = 0.3
"""What the envelope of a silent frame counts against one of speech."""
VOICING: Final = 0.5
"""What voicing counts against envelopes."""
STEEPEST: Final = 2.0
"""Longest gradient; a longer one is shortened."""
_TELL: Final = 100


@dataclass(frozen=True, slots=True)
class Losses:
    """What a batch costs: classes (nats), envelopes (nepers squared), voicing (nats)."""

    classes: torch.Tensor
    envelope: torch.Tensor
    voicing: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """What is made small."""
        return self.classes + self.envelope + VOICING * self.voicing

    def __str__(self) -> str:
        parts = ((name, float(getattr(self, name).detach())) for name in ("classes", "envelope", "voicing"))
        return ", ".join(f"{name} {value:.3f}" for name, value in parts)


def losses(network: VoiceNetwork, batch: Batch, params: Params) -> Losses:
    """Say what the network's answers to a batch cost."""
    classes, mel = torch.from_numpy(batch.classes), torch.from_numpy(batch.mel)
    envelope, voiced = torch.from_numpy(batch.envelope), torch.from_numpy(batch.voiced)
    weights = torch.ones(CLASSES)
    weights[SILENCE] = params.silence_weight
    scores = network.scores(mel)
    heard = functional.cross_entropy(
        scores.transpose(1, 2),
        classes,
        weight=weights,
        ignore_index=UNKNOWN,
        label_smoothing=params.label_smoothing,
    )
    said, odds = network.say(scores.detach().softmax(-1))
    known = (classes != UNKNOWN).float()
    counts = known * torch.where(classes > SILENCE, 1.0, SILENT)
    squares = ((said - envelope) ** 2).mean(-1)
    voicing = functional.binary_cross_entropy_with_logits(odds[..., 0], voiced, reduction="none")
    return Losses(
        heard,
        (squares * counts).sum() / counts.sum().clamp(min=1),
        (voicing * known).sum() / known.sum().clamp(min=1),
    )


def train(frames: Frames, targets: Targets, params: Params) -> VoiceNetwork:
    """Train from nothing; the same frames, parameters and processor give the same network."""
    torch.manual_seed(params.seed)
    torch.set_num_threads(params.threads)
    # Numbers that vanish are a hundred times dearer than zeros.
    torch.set_flush_denormal(True)
    network = VoiceNetwork(params.sharpness, params.voicing_slope, params.dropout)
    batches = Batches(frames, targets, params.batch, params.window, params.seed)
    learning = torch.optim.AdamW(network.parameters(), params.rate, weight_decay=params.weight_decay)
    pace = torch.optim.lr_scheduler.OneCycleLR(learning, params.rate, total_steps=params.steps, pct_start=WARM_UP)
    start = time.perf_counter()
    for step in range(1, params.steps + 1):
        costs = losses(network, batches.draw(), params)
        learning.zero_grad()
        costs.total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), STEEPEST)
        learning.step()
        pace.step()
        if step % _TELL == 0 or step == params.steps:
            sys.stderr.write(f"train: step {step} of {params.steps}, {time.perf_counter() - start:.0f} s: {costs}\n")
    _say_better(network, Batches(frames, targets, params.batch, params.window, params.seed + 1), params)
    network.eval()
    return network


def _say_better(network: VoiceNetwork, batches: Batches, params: Params) -> None:
    """Train the decoder alone, on what the finished encoder says: until here it learned from one that kept changing."""
    decoder = [each for part in (network.codes, network.saying, network.said) for each in part.parameters()]
    network.requires_grad_(False)
    for each in decoder:
        each.requires_grad_(True)
    learning = torch.optim.AdamW(decoder, params.decoder_rate, weight_decay=params.weight_decay)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        learning, params.decoder_rate, total_steps=params.decoder_steps, pct_start=WARM_UP
    )
    network.dropout.eval()
    for step in range(1, params.decoder_steps + 1):
        costs = losses(network, batches.draw(), params)
        learning.zero_grad()
        (costs.envelope + VOICING * costs.voicing).backward()
        learning.step()
        pace.step()
        if step % _TELL == 0 or step == params.decoder_steps:
            sys.stderr.write(f"train: decoder, step {step} of {params.decoder_steps}: {costs}\n")


def agreement(network: VoiceNetwork, frames: Frames, *, held: bool) -> dict[str, float]:
    """Say for which share of the frames of speech the network hears the state, and the phone, that the teacher hears.

    Args:
        network: As trained.
        frames: All recordings.
        held: Whether of those who are held aside, or of those who were learned from.

    Returns:
        ``states`` and ``phones`` in [0, 1]; nothing where nobody speaks.
    """
    same_state, same_phone = [], []
    with torch.inference_mode():
        for _, part in frames.recordings(held=held):
            found = network.scores(torch.from_numpy(frames.mel[part])[None])[0].argmax(-1).numpy()
            speech = frames.classes[part] > SILENCE
            found, known = found[speech], frames.classes[part][speech]
            same_state.append(found == known)
            same_phone.append((found > SILENCE) & ((found - 1) // STATES == (known - 1) // STATES))
    if not sum(map(len, same_state)):
        return {}
    named = {"states": same_state, "phones": same_phone}
    return {name: round(float(np.concatenate(same).mean()), 4) for name, same in named.items()}


def facts(network: VoiceNetwork, frames: Frames, targets: Targets, params: Params, seconds: float) -> dict[str, Any]:
    """Say what was learned, from how much, and how well it is heard."""
    used = frames.recordings(held=False)
    people, aside = {owner for owner, _ in used}, {owner for owner, _ in frames.recordings(held=True)}
    return {
        "people": len(people),
        "utterances": len(used),
        "speech_seconds": round(sum(part.stop - part.start for _, part in used) / 100, 1),
        "people_held_aside": len(aside),
        "steps": params.steps,
        "parameters": sum(each.numel() for each in network.parameters()),
        "train_seconds": round(seconds, 1),
        "warp_deviation": round(float(np.std([targets.warps[owner] for owner in people])), 4),
        "agreement": agreement(network, frames, held=False),
        "agreement_held_aside": agreement(network, frames, held=True),
    }


def main() -> None:
    """Write data/voice-network/network.pt and what was learned."""
    params, frames = load_params().voice_network, Frames.read(hearing.OUT)
    start = time.perf_counter()
    targets = targets_of(frames)
    network = train(frames, targets, params)
    told = facts(network, frames, targets, params, time.perf_counter() - start)
    torch.save({"weights": network.state_dict(), "average": torch.from_numpy(targets.average)}, NETWORK)
    FACTS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    sys.stderr.write(f"train: phones heard as the teacher does, people held aside: {told['agreement_held_aside']}\n")


if __name__ == "__main__":
    main()
