"""A phrase said by a speaker: tracks of formants and excitation, one value a frame, and the sound that they make.

The cascade of resonators is evaluated as a transfer function for each frame, and frames of excitation are filtered by
it and overlapped (hop 10 ms): nothing runs sample by sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from masking.voice.procedural.phones import Phone
from masking.voice.procedural.speaker import HIGHER, Speaker
from masking.voice.procedural.words import Word, phrase
from masking.voice.types import HOP, RATE, Mono

SIZE: Final = 1024
"""Of a transform: a frame of 20 ms and 44 ms in which the tract rings."""
LEVEL: Final = 0.06
"""Root mean square of what is said."""
FRAME_MILLISECONDS: Final = 1000 * HOP / RATE
_GLIDE_FRAMES: Final = 7
"""Frames over which the tract moves from one sound to the next."""
_SWITCH_FRAMES: Final = 3
"""Frames over which excitation does."""
_BANDWIDTHS: Final = (60.0, 80.0, 120.0, 180.0, 250.0, 320.0, 400.0, 480.0)
_CLOSED: Final = 0.6
"""Share of a stop in which the tract is shut."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Segment:
    """One phone of a recording: its label, its first sample and the one after its last."""

    label: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """What was said: ``samples`` at 16 kHz, and which phone is where, from the first sample to the last."""

    samples: Mono
    segments: tuple[Segment, ...]


def speak(speaker: Speaker, words: Sequence[Word], rng: Generator) -> Speech:
    """Say words of `lexicon`.

    Args:
        speaker: Who says them.
        words: What is said.
        rng: Source of all that differs when the same is said again: timing, melody, noise, room and microphone.

    Returns:
        Speech in [-1, 1] of about .06 root mean square, with a little noise.
    """
    phones = phrase(words, rng)
    milliseconds = [
        phone.milliseconds * speaker.rate * speaker.timing.get(phone.label, 1.0) * 2 ** rng.normal(0, 0.12)
        for phone in phones
    ]
    ends = np.cumsum([max(1, round(each / FRAME_MILLISECONDS)) for each in milliseconds])
    firsts = np.concatenate([[0], ends[:-1]])
    tracks = _tracks(speaker, phones, firsts, ends)
    samples = _sound(speaker, tracks, rng)
    segments = (Segment(p.label, int(a) * HOP, int(b) * HOP) for p, a, b in zip(phones, firsts, ends, strict=True))
    return Speech(_recorded(samples, rng), tuple(segments))


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """One row a frame: ``formants`` (n, 8) and ``bandwidths`` (n, 8) in Hz; the others (n,) as of `Phone`."""

    formants: Floats
    bandwidths: Floats
    voice: Floats
    breath: Floats
    friction: Floats
    centre: Floats
    width: Floats


def _tracks(speaker: Speaker, phones: Sequence[Phone], firsts: NDArray[np.int64], ends: NDArray[np.int64]) -> _Tracks:
    which = np.repeat(np.arange(len(phones)), ends - firsts)
    place = (np.arange(ends[-1]) - firsts[which]) / (ends - firsts)[which]
    accents = [speaker.accent.get(phone.label, (1.0, 1.0, 1.0)) for phone in phones]
    low = np.array([phone.formants for phone in phones]) * accents
    high = np.array([3500 + 1000 * i for i in range(HIGHER)]) * speaker.higher
    formants = np.hstack([low, np.tile(high, (len(phones), 1))]) * speaker.tract
    nasal = np.array([1.0 if phone.kind == "nasal" else 0.3 * speaker.nasality for phone in phones])
    widths = np.outer(1 + 1.5 * nasal, _BANDWIDTHS) * speaker.damping
    stop = np.array([phone.kind == "stop" for phone in phones])[which]
    shut, burst = stop & (place < _CLOSED), stop & (place >= _CLOSED)

    def held(name: str) -> Floats:
        return np.array([float(getattr(phone, name)) for phone in phones])[which]

    breath = held("breath") * ~shut + held("voice") * speaker.breathiness
    return _Tracks(
        _glide(formants[which], _GLIDE_FRAMES),
        _glide(widths[which], _GLIDE_FRAMES),
        _glide(held("voice"), _SWITCH_FRAMES),
        _glide(breath, _SWITCH_FRAMES),
        # What bursts does not come by and by.
        np.where(burst, held("friction") * (1.6 - place), _glide(held("friction") * ~stop, _SWITCH_FRAMES)),
        held("centre") * speaker.hiss,
        held("width"),
    )


def _glide(values: Floats, frames: int) -> Floats:
    """Smooth along the frames, ends held."""
    window = np.hanning(frames + 2)[1:-1]
    rows = values.reshape(len(values), -1)
    half = frames // 2
    padded = np.pad(rows, ((half, frames - 1 - half), (0, 0)), mode="edge")
    smooth = sum(weight * padded[i : i + len(rows)] for i, weight in enumerate(window / window.sum()))
    return np.asarray(smooth).reshape(values.shape)


def _sound(speaker: Speaker, tracks: _Tracks, rng: Generator) -> Floats:
    """Filter pulses and noise frame by frame, and overlap what comes out."""
    frames = len(tracks.voice)
    pulses, noise = _pulses(speaker, frames * HOP, rng), rng.standard_normal(frames * HOP)
    frequencies = (np.arange(SIZE // 2 + 1) * RATE / SIZE).astype(np.float32)
    tilt = 1 / (1 + (10 ** (speaker.tilt / 20) - 1) * np.minimum(frequencies / 3000, 1.5))
    tract = _cascade(tracks.formants, tracks.bandwidths)
    offset = (frequencies - _column(tracks.centre)) * _column(1 / tracks.width)
    narrow = np.minimum(frequencies / 500, 1) / (1 + np.square(np.square(offset)))
    lips = np.minimum((frequencies + 400) / 1000, 4)  # not all that is low comes from between the lips
    noisy = _spectra(noise)
    through = _spectra(pulses) * (_column(tracks.voice) * tilt)
    through += noisy * _column(0.012 * tracks.breath)
    through *= tract * lips
    through += noisy * (_column(0.05 * tracks.friction) * narrow)
    return _overlapped(irfft(through, SIZE))


def _column(values: Floats) -> NDArray[np.float32]:
    """Stand values (n,) upright, shape (n, 1), in the precision of the spectra."""
    return values.astype(np.float32)[:, None]


def _overlapped(out: NDArray[np.float32]) -> Floats:
    """Add up frames (n, 1024), each of which begins a hop before its centre; gives n hops from the first centre on."""
    frames = len(out)
    parts = -(-SIZE // HOP)
    padded = np.zeros((frames, parts * HOP))
    padded[:, :SIZE] = out
    whole = np.zeros((frames + parts, HOP))
    for part in range(parts):
        whole[part : part + frames] += padded[:, part * HOP : (part + 1) * HOP]
    return whole[1 : 1 + frames].ravel()


def _spectra(samples: Floats) -> NDArray[np.complex64]:
    """Transform frames of 20 ms, centred on every tenth millisecond."""
    padded = np.concatenate([np.zeros(HOP), samples, np.zeros(HOP)]).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP][: len(samples) // HOP]
    return np.asarray(rfft(windows * np.hanning(2 * HOP + 1)[:-1].astype(np.float32), SIZE), np.complex64)


def _cascade(formants: Floats, bandwidths: Floats) -> NDArray[np.complex64]:
    """Transfer function of resonators in a row, each of gain 1 at 0 Hz, shape (frames, bins)."""
    radius = np.exp(-np.pi * bandwidths / RATE)
    second = -(radius**2)
    first = 2 * radius * np.cos(2 * np.pi * np.minimum(formants, 0.49 * RATE) / RATE)
    poles = np.ones((len(formants), 1))
    for b, c in zip(first.T[:, :, None], second.T[:, :, None], strict=True):
        grown = np.pad(poles, ((0, 0), (0, 2)))
        grown[:, 1:-1] -= b * poles
        grown[:, 2:] -= c * poles
        poles = grown
    gain = (1 - first - second).prod(axis=1, keepdims=True)
    return np.asarray(gain / rfft(poles, SIZE), np.complex64)


def _pulses(speaker: Speaker, samples: int, rng: Generator) -> Floats:
    """Give the flow through the glottis: Rosenberg's polynomial pulse (JASA 49, 1971), each period a little other."""
    seconds = np.arange(samples) / RATE
    length = samples / RATE
    knots = np.arange(0, length + 0.3, 0.22)
    moves = rng.normal(0, 0.5, len(knots)) * speaker.liveliness
    melody = np.interp(seconds, knots, moves) + speaker.liveliness * (0.4 - 0.8 * seconds / max(length, 0.1))
    steps = np.arange(0, length + 0.02, 0.006)
    shaking = np.interp(seconds, steps, rng.standard_normal(len(steps)))
    pitch = speaker.pitch * 2 ** (melody + rng.normal(0, 0.04)) * (1 + speaker.roughness * shaking)
    phase = np.cumsum(pitch / RATE) % 1 / speaker.openness
    return np.where(phase < 1, phase**2 * (1 - phase) * 6.75, 0.0) - 0.3


def _recorded(samples: Floats, rng: Generator) -> Mono:
    """Add what a room and a microphone do: an early echo, a little colour, and noise."""
    echoed = samples.copy()
    late = int(rng.uniform(0.004, 0.02) * RATE)
    echoed[late:] += rng.uniform(0.0, 0.15) * samples[:-late]
    spectrum = rfft(echoed)
    knots = np.linspace(0, 1, 9)
    colour = np.interp(np.linspace(0, 1, len(spectrum)), knots, rng.normal(0, 0.8, len(knots)))
    coloured = irfft(spectrum * 10 ** (colour / 20), len(echoed))
    level = np.sqrt(np.mean(coloured**2)) + 1e-9
    noise = rng.standard_normal(len(coloured)) * 10 ** (-rng.uniform(35, 50) / 20)
    return np.asarray(np.clip(LEVEL * (coloured / level + noise), -1, 1), np.float32)
