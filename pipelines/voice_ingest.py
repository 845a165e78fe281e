"""Stage `voice_ingest`: procedural speakers, or the user's own recordings, become the table of utterances.

Speakers are split before anything is said or read. Words by themselves, by which the judge of what is understood
learns and is tried, are always said by procedural speakers, since recordings seldom say which word is where.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from masking.voice.procedural import Speaker, lexicon, speak
from masking.voice.procedural.speaker import Sex
from masking.voice.procedural.words import Word
from pipelines.ingest import secret_key
from pipelines.params import VoiceIngest, load_params
from pipelines.voice.dataset import Kind, Split, Utterance, write
from pipelines.voice.espeak import espeak_speakers, is_installed
from pipelines.voice.recordings import Reading, RecordingsError, find_recordings, read_recordings, split_of

OUT = Path("data/voices-ingested")
LEXICON = 300
"""Words that phrases are made of."""
PHRASE_WORDS = (5, 8)
SEXES: tuple[Sex, ...] = ("f", "m")
_SPEAKERS, _LEXICON, _SAID, _SPLITS, _ESPEAK = range(5)


def ingest(params: VoiceIngest, out: Path, key: bytes, skipped: list[str]) -> int:
    """Write the speech that ``params`` describe to ``out``, made anew; returns the number of utterances.

    Args:
        params: Section `voice_ingest` of params.yaml.
        out: Folder of the table.
        key: Secret under which names of folders and files become ids.
        skipped: Gets the files that were left out, and why.

    Raises:
        RecordingsError: The folder holds too few speakers.
    """
    return write(out, _utterances(params, key, skipped))


def _utterances(params: VoiceIngest, key: bytes, skipped: list[str]) -> Iterator[Utterance]:
    if params.source == "synthetic":
        yield from procedural(params, params.utterances)
    else:
        speakers = find_recordings(params.folder, params.source)
        splits = split_of(list(speakers), params.train_share, params.attack_share, [params.seed, _SPLITS])
        reading = Reading(params.longest_seconds, params.speaker_seconds, key)
        yield from read_recordings(speakers, splits, reading, skipped)
        yield from procedural(params, 0)
    if params.espeak and is_installed():
        yield from espeak_speakers(np.random.default_rng([params.seed, _ESPEAK]))


def procedural(params: VoiceIngest, phrases: int) -> Iterator[Utterance]:
    """Give what procedural speakers say: so many phrases each, and each of the single words.

    Women and men take turns and are split alike, for attackers tell within each of them who speaks.
    """
    pairs = [f"v{index:03d}" for index in range(params.speakers // 2)]
    splits = split_of(pairs, params.train_share, params.attack_share, [params.seed, _SPLITS, 1])
    words = lexicon(LEXICON, np.random.default_rng([params.seed, _LEXICON]))
    for number, pair in enumerate(pairs):
        for offset, sex in enumerate(SEXES):
            index = 2 * number + offset
            speaker = Speaker.draw(np.random.default_rng([params.seed, _SPEAKERS, index]), sex)
            yield from _said(params, speaker, (index, pair + sex, splits[pair]), words, phrases)


def _said(
    params: VoiceIngest, speaker: Speaker, who: tuple[int, str, Split], words: Sequence[Word], phrases: int
) -> Iterator[Utterance]:
    index, name, split = who
    rng = np.random.default_rng([params.seed, _SAID, index])
    picked = [[words[i] for i in rng.integers(len(words), size=rng.integers(*PHRASE_WORDS))] for _ in range(phrases)]
    for number, phrase in enumerate([*picked, *([word] for word in words[: params.words])]):
        speech = speak(speaker, phrase, rng)
        kind: Kind = "phrase" if number < phrases else "word"
        yield Utterance(
            f"{name}-{number:03d}",
            name,
            split,
            speech.samples,
            "procedural",
            kind,
            "-".join(phrase[0]) if kind == "word" else None,
            speaker.sex,
            tuple(each.label for each in speech.segments),
            tuple(each.last for each in speech.segments),
        )


def main() -> None:
    """Write data/voices-ingested as params.yaml says."""
    params, skipped = load_params().voice_ingest, list[str]()
    try:
        count = ingest(params, OUT, b"" if params.source == "synthetic" else secret_key(), skipped)
    except RecordingsError as error:
        sys.exit(f"voice_ingest: {error}")
    lines = [f"voice_ingest: {count} utterances"]
    if skipped:
        lines += [f"voice_ingest: {len(skipped)} files were left out:", *(f"  {reason}" for reason in skipped)]
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
