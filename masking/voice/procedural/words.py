"""Words that mean nothing, and the phones of a phrase of them."""

from collections.abc import Sequence
from typing import Final

from numpy.random import Generator

from masking.voice.procedural.phones import CODAS, CONSONANTS, PHONES, SILENCE, VOWELS, Phone

PAUSE: Final = 0.3
"""Share of the gaps between words in which there is a pause."""
MOST_WORDS: Final = 5000
_BEGINNINGS: Final = tuple(label for label in CONSONANTS if label != "NG")

Word = tuple[str, ...]


def lexicon(words: int, rng: Generator) -> tuple[Word, ...]:
    """Make distinct words of one to three syllables, as labels of phones.

    Raises:
        ValueError: More than 5000 words are wanted.
    """
    if words > MOST_WORDS:
        raise ValueError(f"at most {MOST_WORDS} words can be made")
    made: dict[Word, None] = {}
    while len(made) < words:
        syllables = int(rng.choice((1, 2, 3), p=(0.4, 0.4, 0.2)))
        made[tuple(label for _ in range(syllables) for label in _syllable(rng))] = None
    return tuple(made)


def phrase(words: Sequence[Word], rng: Generator) -> list[Phone]:
    """Join words by their phones, with a pause now and then, silence at both ends."""
    phones = [SILENCE]
    for word in words:
        phones += [PHONES[label] for label in word]
        if rng.random() < PAUSE:
            phones.append(SILENCE)
    return [*phones, SILENCE] if phones[-1] is not SILENCE else phones


def _syllable(rng: Generator) -> list[str]:
    labels = [str(rng.choice(_BEGINNINGS))] if rng.random() < 0.9 else []
    labels.append(str(rng.choice(VOWELS)))
    if rng.random() < 0.45:
        labels.append(str(rng.choice(CODAS)))
    return labels
