import numpy as np

from masking.evaluation.voice.encoder import encode
from masking.evaluation.voice.spectra import analyse

RATE = 16_000


def coloured(colour: float, seed: int) -> np.ndarray:
    """Noise of a speaker's own colour, a little over a second."""
    rng = np.random.default_rng(seed)
    white = np.fft.rfft(rng.normal(0, 0.1, int(1.2 * RATE)))
    shape = 1 + 3 * np.exp(-(((np.arange(len(white)) / len(white) - colour) / 0.08) ** 2))
    return np.fft.irfft(white * shape).astype(np.float32)


def test_people_who_were_never_heard_before_are_told_apart():
    person = np.repeat(np.arange(14), 4)
    colours = np.linspace(0.1, 0.9, 14)
    frames = [analyse(coloured(colours[who], index)) for index, who in enumerate(person)]
    known = person % 2 == 0
    rows = encode(frames, person, known)
    assert rows.shape == (56, 320)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = (unit @ unit.T)[~known][:, ~known]
    same = person[~known][:, None] == person[~known][None]
    assert likeness[same].mean() > likeness[~same].mean() + 0.02
    assert np.array_equal(rows, encode(frames, person, known))


def test_names_of_those_who_are_sought_are_not_looked_at():
    frames = [analyse(coloured(0.1 * (index % 4), index)) for index in range(8)]
    person = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    known = person < 2
    other = np.where(known, person, 9)
    assert np.array_equal(encode(frames, person, known), encode(frames, other, known))
