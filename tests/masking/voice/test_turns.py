import numpy as np
import pytest

from masking.voice.turns import CEPSTRA, Decided, Turns, TurnSettings, Window

PLAIN = TurnSettings(lead=2, trail=3, changes=False)


def heard(text: str) -> list[Window]:
    """``s`` is speech, ``v`` a voice that the detector does not call speech, ``.`` neither."""
    return [Window(mark == "s", mark in "sv") for mark in text]


def decided(windows: list[Window], settings: TurnSettings, piece: int = 1) -> list[Decided]:
    turns = Turns(settings)
    out = [each for at in range(0, len(windows), piece) for each in turns.feed(windows[at : at + piece])]
    return [*out, *turns.finish()]


@pytest.mark.parametrize(
    ("text", "gate", "begun"),
    [
        ("..........", "..........", []),
        (".....s....", "...oooooo.", [3]),
        (".....v....", "...oooooo.", [3]),
        ("s.........", "oooo......", [0]),
        (".........s", ".......ooo", [7]),
        ("s......s..", "oooo.ooooo", [0, 5]),
        ("s.....s...", "oooooooooo", [0]),
    ],
)
def test_the_gate_is_open_around_every_voice(text: str, gate: str, begun: list[int]) -> None:
    out = decided(heard(text), PLAIN)
    assert "".join("o" if each.open else "." for each in out) == gate
    assert [index for index, each in enumerate(out) if each.begins] == begun
    assert [each.before for each in out[1:]] == [each.open for each in out[:-1]]
    assert [each.after for each in out[:-1]] == [each.open for each in out[1:]]


def test_a_pause_ends_an_utterance_though_the_gate_stays_open() -> None:
    wide = TurnSettings(lead=7, trail=10, changes=False)
    for pause, begun in ((16, [0, 5 + 16 - 7]), (15, [0])):
        out = decided(heard("s" * 5 + "." * pause + "s" * 9), wide)
        assert all(each.open for each in out)
        assert [index for index, each in enumerate(out) if each.begins] == begun


def test_noise_before_the_first_word_is_no_utterance_of_its_own() -> None:
    wide = TurnSettings(lead=7, trail=10, changes=False)
    out = decided(heard("v" * 40 + "s" * 20), wide)
    assert [index for index, each in enumerate(out) if each.begins] == [0]


def talk(people: list[int], windows: int) -> list[Window]:
    """Unbroken speech of people that have each their own mean of cepstra."""
    rng = np.random.default_rng(7)
    means = rng.normal(size=(3, CEPSTRA)) * 1.2
    frames = [means[person] + rng.normal(size=(windows, 2, CEPSTRA)) for person in people]
    return [Window(True, True, each.astype(np.float32)) for each in np.concatenate(frames)]


@pytest.mark.parametrize("piece", [1, 32, 1000])
def test_a_change_of_speaker_ends_an_utterance(piece: int) -> None:
    out = decided(talk([0, 1, 0], 120), TurnSettings(speakers=True), piece)
    begins = [(index, each.speaker) for index, each in enumerate(out) if each.begins]
    assert [speaker for _, speaker in begins] == [0, 1, 0]
    assert [round(index / 120) for index, _ in begins] == [0, 1, 2]
    assert all(abs(index - 120 * round(index / 120)) <= 8 for index, _ in begins)


def test_one_speaker_has_one_turn() -> None:
    assert sum(each.begins for each in decided(talk([0, 0, 0], 120), TurnSettings())) == 1


def test_speakers_are_known_again_after_a_pause() -> None:
    said, silence = talk([0, 1, 0], 90), heard("." * 60)
    windows = [*said[:90], *silence, *said[90:180], *silence, *said[180:]]
    out = decided(windows, TurnSettings(speakers=True))
    assert [each.speaker for each in out if each.begins] == [0, 1, 0]
