"""Who is still known behind each voice style, what is understood, and how it sounds, beside McAdams and a pitch shift.

`python -m benchmarks.voice [--only strong,one-voice] [--copies 2] [--figures FILE]`; reads `voices` of the folder that
MASKER_REAL_DATA names. Resemblyzer, pocketsphinx, speechmos and a network in PyTorch judge as well where installed.
`strong/codebook` is `strong` with the codebook that the network has to beat, learned here from people not sought.
"""

import argparse
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.voice_cnn import convolutions
from benchmarks.voice_codebook import codebook
from benchmarks.voice_judges import dnsmos, embeddings, pocketsphinx
from benchmarks.voices import Voices, Words, voices
from masking.evaluation.voice.baselines import mcadams, pitch_shift
from masking.evaluation.voice.privacy import UNMASKED, WEAK, VoicePrivacy, VoiceStyle, judge_voices
from masking.evaluation.voice.types import Mask
from masking.evaluation.voice.utility import compare
from masking.evaluation.voice.words import WordJudge, understood
from masking.live_voice import LiveVoice
from masking.voice.loading import VoiceModel, load_voice
from masking.voice.mask import mask_speech
from masking.voice.maskers import STYLES
from masking.voice.policy import VoicePolicy
from masking.voice.types import RATE, Mono
from mlops.registry.bundle import current
from mlops.settings import load_settings

CODEBOOK: Final = "strong/codebook"
PITCH_SHIFT: Final = "pitch shift"
CHUNK: Final = RATE * 40 // 1000
CHUNKS: Final = 500
HEARD: Final = 30
"""Parts that are listened to for how they sound and for the melody."""


@dataclass(slots=True)
class Measured:
    """A masker that remembers what it cost and the first parts that it made."""

    mask: Mask
    seconds: float = 0.0
    cpu: float = 0.0
    pairs: list[tuple[Mono, Mono]] = field(default_factory=list)

    def __call__(self, samples: Mono, number: int) -> Mono:
        """Mask, and note it."""
        started = time.process_time()
        masked = self.mask(samples, number)
        self.cpu += time.process_time() - started
        self.seconds += len(samples) / RATE
        if len(self.pairs) < HEARD:
            self.pairs.append((samples, masked))
        return masked


@dataclass(frozen=True, slots=True)
class Told:
    """What judges make of a masker: shares of words, an opinion from 1 to 5, a correlation; None without the judge."""

    words: float
    words_cnn: float | None
    words_pocketsphinx: float | None
    dnsmos: float | None
    pitch_correlation: float

    def row(self) -> str:
        """The figures as columns."""
        shares = (self.words, self.words_cnn, self.words_pocketsphinx)
        opinion = "   -" if self.dnsmos is None else f"{self.dnsmos:4.2f}"
        understood_by = [f"{'-' if each is None else pct(each):>5}" for each in shares]
        return " | ".join([*understood_by, opinion, f"{self.pitch_correlation:5.2f}"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voice", description="Privacy and words of the styles.")
    parser.add_argument(
        "--only", help="names of maskers with commas between them; McAdams and no mask are always there"
    )
    parser.add_argument("--copies", type=int, default=2, help="how often attackers mask what they learn from")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="write the figures there as well, as JSON")
    wish = parser.parse_args()
    names = (*STYLES, CODEBOOK, PITCH_SHIFT)
    asked = set(names) if wish.only is None else {name for name in wish.only.split(",") if name}
    if strange := asked - set(names):
        parser.error(f"no such masker: {', '.join(sorted(strange))}")
    data = voices()
    styles, models = maskers(asked, data)
    measured = {name: Measured(mask) for name, mask in styles.items()}
    judged = judge_voices(data.sought, data.known, measured, copies=wish.copies, describe=embeddings(), thorough=True)
    told = heard(data, measured)
    print(header(judged, data))
    for name, style in judged.styles.items():
        print(row(name, style), told[name].row(), cost(measured.get(name)), chunk(name, models, data), sep=" | ")
    print("\nequal error rate in % of each attacker")
    for name, style in judged.styles.items():
        print(
            f"{name:18} " + "   ".join(f"{a.attacker}, {a.way} {pct(a.equal_error_rate.value)}" for a in style.attacks)
        )
    if wish.figures is not None:
        figures = {name: facts(style, told[name], judged.people) for name, style in judged.styles.items()}
        wish.figures.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def facts(style: VoiceStyle, told: Told, people: int) -> dict[str, Any]:
    """The figures of one masker as they stand beside a model, rounded as the table rounds them; no judge, no figure."""
    counted = {name: value for name, value in style.facts().items() if name != "attackers"}
    found = {name: value for name, value in asdict(told).items() if value is not None}
    whole = counted | found | {"people": people}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in whole.items()}


def maskers(asked: Collection[str], data: Voices) -> tuple[dict[str, Mask], dict[str, tuple[str, VoiceModel]]]:
    """Maskers by name, and the style and model of ours; a codebook is learned where it is asked for."""
    settings = load_settings().registry
    bundle = current(settings.bundles_path, settings.voice_model)
    if bundle is None:
        raise SystemExit("no voice model is installed: run `make run` first")
    model = load_voice(bundle)
    ours = {style: (style, model) for style in STYLES if style in asked}
    if CODEBOOK in asked:
        ours[CODEBOOK] = ("strong", codebook(data))
    made: dict[str, Mask] = {PITCH_SHIFT: pitch_shift} if PITCH_SHIFT in asked else {}
    return made | {name: mask_of(*each) for name, each in ours.items()}, ours


def mask_of(style: str, model: VoiceModel) -> Mask:
    """Give what masks an utterance as the policy does by default, its key made of a number."""

    def mask(samples: Mono, number: int) -> Mono:
        return mask_speech(samples, VoicePolicy(style, key=number.to_bytes(32, "big")), model)

    return mask


def heard(data: Voices, measured: dict[str, Measured]) -> dict[str, Told]:
    """What the judges of words, of how it sounds and of the melody say, by masker."""
    lessons, said = data.lessons, data.words.said
    judge = WordJudge.learn(lessons.sounds, lessons.said)
    network, sphinx, opinion = convolutions(lessons.sounds, lessons.said, said), pocketsphinx(said), dnsmos()
    pairs = [
        (part, mcadams(part, index)) for index, part in enumerate(each.samples[: 3 * RATE] for each in data.sought)
    ]
    first = {UNMASKED: [(plain, plain) for plain, _ in pairs[:HEARD]], WEAK: pairs[:HEARD]}
    told: dict[str, Told] = {}
    maskers: dict[str, Mask] = {UNMASKED: lambda samples, _: samples, WEAK: mcadams}
    for name, mask in {**maskers, **{name: each.mask for name, each in measured.items()}}.items():
        words = masked_words(mask, data.words)
        listened = first.get(name) or measured[name].pairs
        plain, made = [each for each, _ in listened], [each for _, each in listened]
        told[name] = Told(
            understood(judge, words, said),
            None if network is None else network(words),
            None if sphinx is None else sphinx(words),
            None if opinion is None else opinion(made),
            compare(plain, made).pitch_correlation,
        )
    return told


def masked_words(mask: Mask, words: Words) -> list[Mono]:
    """Mask every word as an utterance of its own."""
    return [mask(sound, index) for index, sound in enumerate(words.sounds)]


def header(judged: VoicePrivacy, data: Voices) -> str:
    """Say what the figures stand on, and name the columns."""
    state = "valid" if judged.valid else f"NOT VALID, {judged.reason}"
    return (
        f"{judged.people} people sought, {judged.learned_from} others learned from; {judged.seconds:.0f} s in parts of "
        f"about 3 s; {judged.probes} right and {judged.wrong} wrong pairs of one sex; chance of rank 1 "
        f"{pct(judged.chance)} %; {len(data.words.said)} words; the judge is {state}\n"
        f"{'':18} | {'EER % [95 %], strongest attacker':>48} | rank 1 | TPR@1% | worst | words |   CNN | sphinx | "
        "DNSMOS | F0 | CPU s per s | CPU ms per 40 ms, p95"
    )


def row(name: str, style: VoiceStyle) -> str:
    """The figures of privacy of one masker."""
    best = style.strongest
    rate = best.equal_error_rate
    found = f"{pct(rate.value)} [{pct(rate.low)}, {pct(rate.high)}] {best.attacker}, {best.way}"
    positives = max(attack.true_positives for attack in style.attacks)
    return f"{name:18} | {found:>48} | {pct(style.rank1.value):>5} | {pct(positives):>5} | {pct(best.worst):>5}"


def cost(measured: Measured | None) -> str:
    """CPU seconds for a second of speech."""
    return "    -" if measured is None else f"{measured.cpu / measured.seconds:5.3f}"


def chunk(name: str, models: dict[str, tuple[str, VoiceModel]], data: Voices) -> str:
    """95th percentile of the CPU milliseconds that a live chunk of 40 ms takes."""
    if name not in models:
        return "    -"
    style, model = models[name]
    live = LiveVoice(VoicePolicy(style), model, RATE, 1)
    took = []
    for piece in _chunks([each.samples for each in data.sought[:4]]):
        started = time.process_time()
        live.mask(piece)
        took.append(1000 * (time.process_time() - started))
    return f"{np.percentile(took, 95):5.1f}"


def _chunks(sounds: Sequence[Mono]) -> list[bytes]:
    whole = np.rint(np.concatenate(sounds) * 32767).astype("<i2")
    return [whole[first : first + CHUNK].tobytes() for first in range(0, len(whole) - CHUNK, CHUNK)][:CHUNKS]


def pct(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
