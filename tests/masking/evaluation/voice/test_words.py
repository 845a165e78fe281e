import numpy as np
import pytest

from masking.evaluation.voice.network import Adam, Choose, Convolution, Normal
from masking.evaluation.voice.words import LENGTH, WordJudge, picture, understood
from masking.voice.procedural import Speaker, lexicon, speak


def spoken(words, speakers, seed):
    rng = np.random.default_rng(seed)
    said, sounds = [], []
    for _ in range(speakers):
        speaker = Speaker.draw(rng)
        for index, word in enumerate(words):
            said.append(str(index))
            sounds.append(speak(speaker, [word], rng).samples)
    return sounds, said


@pytest.fixture(scope="module")
def judge():
    return WordJudge.learn(*spoken(lexicon(4, np.random.default_rng(3)), 20, 0), copies=1)


def test_words_of_new_speakers_are_understood(judge):
    assert understood(judge, *spoken(lexicon(4, np.random.default_rng(3)), 10, 1)) > 0.65


def test_noise_is_not_understood(judge):
    sounds, said = spoken(lexicon(4, np.random.default_rng(3)), 10, 2)
    rng = np.random.default_rng(0)
    hidden = [rng.normal(0, 0.1, len(sound)).astype(np.float32) for sound in sounds]
    assert understood(judge, hidden, said) < 0.6
    assert len(set(judge.hear([np.zeros_like(sound) for sound in sounds]))) == 1


def test_nothing_said_is_no_figure(judge):
    assert np.isnan(understood(judge, [], []))


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.4, 1.0, 3.0])
def test_a_picture_is_a_second_however_long_the_recording(seconds):
    sound = np.random.default_rng(0).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)
    shown = picture(sound)
    assert shown.shape == (LENGTH, 40)
    assert np.isfinite(shown).all()


def test_the_loudest_second_is_taken():
    sound = np.zeros(48_000, np.float32)
    sound[20_000:30_000] = np.random.default_rng(0).normal(0, 0.1, 10_000)
    assert picture(sound).max() > 0
    assert np.ptp(picture(sound)) > 1


@pytest.mark.parametrize(("sounds", "said"), [([], []), ([np.zeros(9, np.float32)], ["one"]), ([], ["a", "b"])])
def test_one_word_alone_is_nothing_to_learn(sounds, said):
    with pytest.raises(ValueError, match="nothing to learn from"):
        WordJudge.learn(sounds, said)


@pytest.mark.parametrize(
    "layer",
    [
        lambda rng: Convolution(3, 5, 1, rng),
        lambda rng: Convolution(3, 4, 2, rng),
        lambda rng: Normal(3),
        lambda rng: Choose(4 * 3, 6, 0.0, rng),
    ],
)
def test_slopes_are_those_of_the_output(layer):
    rng = np.random.default_rng(0)
    made = layer(rng)
    for weight in made.weights:
        weight += rng.normal(0, 0.3, weight.shape).astype(np.float32)
    x = rng.normal(size=(3, 6, 4, 3)).astype(np.float32)
    out = made.forward(x, True)
    towards = rng.normal(size=out.shape).astype(np.float32)
    back = made.backward(towards)

    def along(array, place, step=1e-2):
        before = array[place]
        values = []
        for sign in (1, -1):
            array[place] = before + sign * step
            values.append(float(np.sum(made.forward(x, True).astype(np.float64) * towards)))
        array[place] = before
        return (values[0] - values[1]) / (2 * step)

    slopes = [each.copy() for each in made.slopes]
    checked = [(x, back), *zip(made.weights, slopes, strict=True)]
    for array, slope in checked:
        for place in [tuple(rng.integers(size) for size in array.shape) for _ in range(6)]:
            assert slope[place] == pytest.approx(along(array, place), abs=0.03, rel=0.03)


def test_steps_lead_downhill():
    rng = np.random.default_rng(0)
    made = Choose(3, 2, 0.0, rng)
    adam = Adam([made], 0.0)
    x = rng.normal(size=(40, 1, 1, 3)).astype(np.float32)
    wanted = np.stack([x[:, 0, 0, 0], x[:, 0, 0, 1] - x[:, 0, 0, 2]], axis=1)
    losses = []
    for _ in range(200):
        gap = made.forward(x, True) - wanted
        losses.append(float((gap**2).mean()))
        made.backward(gap / np.float32(40))
        adam.step(0.05)
    assert losses[-1] < 0.01 * losses[0]
