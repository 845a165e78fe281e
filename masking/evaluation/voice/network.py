"""A small convolutional network in plain arrays: layers that run forward and learn backward, float32."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float32]

DROPOUT = 0.4


class Layer(Protocol):
    """One step of a network; ``weights`` and ``slopes`` go in pairs."""

    weights: list[Array]
    slopes: list[Array]

    def forward(self, x: Array, learning: bool) -> Array:
        """Give the output; while learning remember what `backward` needs."""
        ...

    def backward(self, slope: Array) -> Array:
        """Take the slope of the loss by the output, keep that by the weights, and give that by the input."""
        ...


@dataclass(eq=False)
class Convolution:
    """3 x 3 convolution of (n, rows, columns, channels), zeros around, with a step in both directions."""

    inputs: int
    outputs: int
    step: int
    rng: np.random.Generator
    weights: list[Array] = field(default_factory=list)
    slopes: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        # He et al., ICCV 2015.
        spread = np.sqrt(2 / (9 * self.inputs))
        self.weights = [(self.rng.normal(0, spread, (9 * self.inputs, self.outputs))).astype(np.float32)]

    def forward(self, x: Array, learning: bool) -> Array:
        """See `Layer`."""
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = sliding_window_view(padded, (3, 3), axis=(1, 2))[:, :: self.step, :: self.step]
        shape = windows.shape[:3]
        columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 9 * self.inputs)
        if learning:
            self._seen, self._padded = columns, padded.shape
        return np.asarray((columns @ self.weights[0]).reshape(*shape, self.outputs))

    def backward(self, slope: Array) -> Array:
        """See `Layer`."""
        flat = slope.reshape(-1, self.outputs)
        self.slopes = [self._seen.T @ flat]
        back = (flat @ self.weights[0].T).reshape(*slope.shape[:3], 3, 3, self.inputs)
        padded = np.zeros(self._padded, np.float32)
        rows, columns = slope.shape[1:3]
        for row in range(3):
            for column in range(3):
                padded[
                    :, row : row + rows * self.step : self.step, column : column + columns * self.step : self.step
                ] += back[:, :, :, row, column]
        return padded[:, 1:-1, 1:-1]


@dataclass(eq=False)
class Normal:
    """Batch normalisation (Ioffe and Szegedy, ICML 2015) of the last axis, and what is below zero cut off."""

    channels: int
    weights: list[Array] = field(default_factory=list)
    slopes: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = [np.ones(self.channels, np.float32), np.zeros(self.channels, np.float32)]
        self._mean = np.zeros(self.channels, np.float32)
        self._variance = np.ones(self.channels, np.float32)

    def forward(self, x: Array, learning: bool) -> Array:
        """See `Layer`."""
        mean, variance = _moments(x) if learning else (self._mean, self._variance)
        scale = 1 / np.sqrt(variance + np.float32(1e-4))
        standard = (x - mean) * scale
        out = standard * self.weights[0] + self.weights[1]
        if learning:
            self._mean = np.float32(0.9) * self._mean + np.float32(0.1) * mean
            self._variance = np.float32(0.9) * self._variance + np.float32(0.1) * variance
            self._standard, self._scale, self._open = standard, scale, out > 0
        return np.asarray(np.maximum(out, 0), np.float32)

    def backward(self, slope: Array) -> Array:
        """See `Layer`."""
        slope = slope * self._open
        count = slope.size // self.channels
        moved, scaled = _sum(slope) / count, _sum(slope * self._standard) / count
        self.slopes = [np.asarray(scaled * count, np.float32), np.asarray(moved * count, np.float32)]
        return np.asarray((slope - moved - self._standard * scaled) * (self._scale * self.weights[0]))


def _sum(x: Array) -> Array:
    """Sum over all but the last axis; as a product, which is the fastest way."""
    flat = x.reshape(-1, x.shape[-1])
    return np.asarray(np.ones(len(flat), np.float32) @ flat)


def _moments(x: Array) -> tuple[Array, Array]:
    count = np.float32(x.size // x.shape[-1])
    mean = _sum(x) / count
    return mean, np.maximum(_sum(x * x) / count - mean * mean, 0)


@dataclass(eq=False)
class Choose:
    """Mean over the rows, dropout (Srivastava et al., JMLR 15, 2014), and a linear rule for each class."""

    inputs: int
    classes: int
    dropout: float
    rng: np.random.Generator
    weights: list[Array] = field(default_factory=list)
    slopes: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = [np.zeros((self.inputs, self.classes), np.float32), np.zeros(self.classes, np.float32)]

    def forward(self, x: Array, learning: bool) -> Array:
        """See `Layer`."""
        told = x.mean(axis=1).reshape(len(x), -1)
        if learning:
            kept = (self.rng.random(told.shape) >= self.dropout) / (1 - self.dropout)
            self._kept, self._shape = kept.astype(np.float32), x.shape
            told = self._told = told * self._kept
        return np.asarray(told @ self.weights[0] + self.weights[1])

    def backward(self, slope: Array) -> Array:
        """See `Layer`."""
        self.slopes = [self._told.T @ slope, slope.sum(axis=0)]
        back = (slope @ self.weights[0].T) * self._kept / np.float32(self._shape[1])
        return np.broadcast_to(back.reshape(len(slope), 1, *self._shape[2:]), self._shape)


class Adam:
    """Steps by Kingma and Ba (ICLR 2015), with decoupled decay of the matrices (Loshchilov and Hutter, ICLR 2019)."""

    def __init__(self, layers: Sequence[Layer], decay: float) -> None:
        self._layers, self._decay, self._count = layers, decay, 0
        self._first = [[np.zeros_like(each) for each in layer.weights] for layer in layers]
        self._second = [[np.zeros_like(each) for each in layer.weights] for layer in layers]

    def step(self, rate: float) -> None:
        """Move all weights against their slopes."""
        self._count += 1
        grown = np.sqrt(1 - 0.999**self._count) / (1 - 0.9**self._count)
        for layer, firsts, seconds in zip(self._layers, self._first, self._second, strict=True):
            for weight, slope, first, second in zip(layer.weights, layer.slopes, firsts, seconds, strict=True):
                first += np.float32(0.1) * (slope - first)
                second += np.float32(0.001) * (slope**2 - second)
                if weight.ndim == 2:
                    weight *= np.float32(1 - rate * self._decay)
                weight -= np.float32(rate * grown) * first / (np.sqrt(second) + np.float32(1e-8))


def network(shape: tuple[int, int], classes: int, rng: np.random.Generator) -> tuple[Layer, ...]:
    """Four convolutions and a choice, for pictures (n, rows, columns, 1) of this many rows and columns."""
    columns = shape[1]
    layers: list[Layer] = []
    for inputs, outputs, step in ((1, 16, 2), (16, 40, 2), (40, 64, 2), (64, 64, 1)):
        layers += [Convolution(inputs, outputs, step, rng), Normal(outputs)]
        columns = -(-columns // step)
    return (*layers, Choose(columns * 64, classes, DROPOUT, rng))


def learn(layers: Sequence[Layer], pictures: Array, wanted: Array) -> None:
    """Leave in each layer the slopes of the cross entropy between what is chosen and ``wanted`` (n, classes)."""
    x = pictures
    for layer in layers:
        x = layer.forward(x, True)
    likely = np.exp(x - x.max(axis=1, keepdims=True))
    slope = np.asarray((likely / likely.sum(axis=1, keepdims=True) - wanted) / len(wanted), np.float32)
    for layer in reversed(layers):
        slope = layer.backward(slope)


def warmed(done: float) -> float:
    """Factor on the rate when this share is done: it rises first and then falls to nothing (Smith, 2018)."""
    return 0.1 + 0.9 * done / 0.3 if done < 0.3 else float(1 + np.cos(np.pi * (done - 0.3) / 0.7)) / 2
