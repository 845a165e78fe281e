# mypy: allow-subclassing-any
"""The network: an encoder that hears phones, and a decoder that says them in the average voice.

Between them are shares of 118 classes that sum to 1 and nothing else, a soft vector quantisation whose codes are the
states of phones: what tells people apart has no class of its own. Blocks are depthwise-separable convolutions over
time in a residual stream (ConvNeXt; Liu and others, CVPR 2022), with ReLU, which costs least on a CPU; they look
further back than ahead, so that a stream waits little.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from masking.voice.types import BANDS
from pipelines.voice.network.phones import CLASSES

ENCODER: Final = 224
DECODER: Final = 160
STEM: Final = 5
HEARING: Final = ((7, 1, 3), (7, 1, 2), (7, 2, 2), (7, 2, 2), (7, 3, 3), (7, 3, 0), (7, 1, 0))
"""Kernel, dilation and frames of future of each block of the encoder."""
SAYING: Final = ((5, 1, 2), (5, 2, 2), (5, 2, 2))
"""As much of the decoder."""
_CENTRE: Final = -5.0
_SPREAD: Final = 2.0
"""Log-mel values lie about so."""
SPOKEN: Final = -4.5
"""Nepers that are added to envelopes in use: the decoder learned speech of level 0, which no file could hold."""
_LOUD: Final = 4.0
"""Shares are small numbers; the decoder begins with larger ones."""


class Block(nn.Module):
    """A residual block, (b, t, width) to the same shape; it looks ``left`` frames back and ``right`` ahead."""

    def __init__(self, width: int, kernel: int, dilation: int, right: int) -> None:
        super().__init__()
        self.right, self.left = right, (kernel - 1) * dilation - right
        self.norm = nn.LayerNorm(width)
        self.over_time = nn.Conv1d(width, width, kernel, dilation=dilation, groups=width)
        self.across = nn.Linear(width, width)
        nn.init.normal_(self.across.weight, 0, 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what is found."""
        padded = functional.pad(self.norm(x).transpose(1, 2), (self.left, self.right))
        return x + self.across(functional.relu(self.over_time(padded)).transpose(1, 2))


class VoiceNetwork(nn.Module):
    """Both halves.

    Args:
        sharpness: What scores are multiplied by when the network is used; training sees 1.
        slope: Steepness of the voicing when it is used.
        dropout: Share of the encoder's values that training leaves out.
    """

    def __init__(self, sharpness: float = 1.0, slope: float = 8.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.sharpness, self.slope = sharpness, slope
        self.stem = nn.Conv1d(BANDS, ENCODER, STEM, padding=STEM // 2)
        self.hearing = nn.ModuleList([Block(ENCODER, *shape) for shape in HEARING])
        self.heard = nn.Sequential(nn.LayerNorm(ENCODER), nn.Linear(ENCODER, CLASSES))
        self.codes = nn.Linear(CLASSES, DECODER)
        self.saying = nn.ModuleList([Block(DECODER, *shape) for shape in SAYING])
        self.said = nn.Sequential(nn.LayerNorm(DECODER), nn.Linear(DECODER, BANDS + 1))
        self.dropout = nn.Dropout(dropout)

    @property
    def reach(self) -> tuple[int, int]:
        """Frames of the past and of the future that an output depends on."""
        blocks: Sequence[Any] = [*self.hearing, *self.saying]
        half = STEM // 2
        return half + sum(each.left for each in blocks), half + sum(each.right for each in blocks)

    def scores(self, mel: torch.Tensor) -> torch.Tensor:
        """Say how much each frame is like each class: (b, t, 80) to (b, t, 118)."""
        x = functional.relu(self.stem(((mel - _CENTRE) / _SPREAD).transpose(1, 2))).transpose(1, 2)
        for block in self.hearing:
            x = self.dropout(block(x))
        return self.heard(x)

    def say(self, shares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give envelope (b, t, 80) and the logarithm of the odds of voicing (b, t, 1) of shares (b, t, 118)."""
        x = self.codes(shares * _LOUD)
        for block in self.saying:
            x = block(x)
        x = self.said(x)
        return x[..., :BANDS], x[..., BANDS:]

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give what the exported graph gives: envelope, and voicing in [0, 1], of log-mel frames (b, t, 80)."""
        envelope, odds = self.say((self.scores(mel) * self.sharpness).softmax(-1))
        return envelope + SPOKEN, torch.sigmoid((torch.sigmoid(odds) - 0.5) * self.slope)
