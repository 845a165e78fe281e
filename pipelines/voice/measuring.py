"""What a voice model hides and what it keeps, beside no mask and a weak one, all in one run."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from masking.evaluation.voice.privacy import UNMASKED, VoicePrivacy, VoiceStyle, judge_voices
from masking.evaluation.voice.types import Mask, Said
from masking.evaluation.voice.utility import compare
from masking.evaluation.voice.words import WordJudge, understood
from masking.voice.loading import VoiceModel
from masking.voice.mask import mask_speech
from masking.voice.policy import VoicePolicy
from masking.voice.types import Mono
from pipelines.params import VoiceEvaluate
from pipelines.voice.dataset import Utterance

STYLE: Final = "strong"
"""The style that the graph is for."""


def mask_of(model: VoiceModel) -> Mask:
    """Give what masks one utterance with a model, as the policy does by default, its key made of a number."""

    def mask(samples: Mono, number: int) -> Mono:
        return mask_speech(samples, VoicePolicy(STYLE, key=number.to_bytes(32, "big")), model)

    return mask


def measure(
    models: Mapping[str, VoiceModel],
    attack: Sequence[Utterance],
    test: Sequence[Utterance],
    lessons: Sequence[Utterance],
    params: VoiceEvaluate,
) -> dict[str, Any]:
    """Measure models; the figures nest, and every leaf is a number or a truth value, but for ``reason``.

    Args:
        models: What is measured, by name.
        attack: Utterances of the speakers that attackers learn from.
        test: Utterances of those that they seek, words by themselves among them.
        lessons: Words by themselves of speakers who are not in ``test``, from which the judge of words learns.
        params: Section `voice_evaluate` of params.yaml.
    """
    masks = {name: mask_of(model) for name, model in models.items()}
    figures = privacy(masks, attack, test, params)
    for name, found in utility(masks, test, lessons, params).items():
        figures[name] = figures.get(name, {}) | found
    figures["on_procedural_speakers"] = all(each.source == "procedural" for each in _phrases(test))
    return figures


def privacy(
    masks: Mapping[str, Mask], attack: Sequence[Utterance], test: Sequence[Utterance], params: VoiceEvaluate
) -> dict[str, Any]:
    """Let attackers try, and tell the figures; where there are too few people, that the judge is not valid."""
    sought, known = (_said(_phrases(part), params.utterances) for part in (test, attack))
    try:
        judged = judge_voices(sought, known, masks, copies=params.copies, seed=params.seed)
    except ValueError as error:
        return {"valid": False, "reason": str(error)}
    return _told(judged)


def utility(
    masks: Mapping[str, Mask], test: Sequence[Utterance], lessons: Sequence[Utterance], params: VoiceEvaluate
) -> dict[str, dict[str, float]]:
    """Say for each masker, and for no mask, what is understood and what of the melody, length and sync is kept."""
    learned = _words(lessons, params.word_speakers)
    heard = _words(test, params.word_speakers)
    phrases = _phrases(test)[: params.compared]
    numbers = np.random.default_rng([params.seed, 1]).integers(2**63, size=len(heard) + len(phrases)).tolist()
    judge = _judge(learned, params.seed)
    figures: dict[str, dict[str, float]] = {}
    plain = [each.samples for each in phrases]
    for name, mask in {UNMASKED: None, **masks}.items():
        every = [*heard, *phrases]
        made = [each.samples if mask is None else mask(each.samples, n) for each, n in zip(every, numbers, strict=True)]
        words, masked = made[: len(heard)], made[len(heard) :]
        found: dict[str, float] = {}
        if judge is not None and heard:
            found["words"] = understood(judge, words, [str(each.word) for each in heard])
        if phrases:
            found |= compare(plain, masked).facts()
        figures[name] = {key: value for key, value in found.items() if np.isfinite(value)}
    return figures


def _judge(learned: Sequence[Utterance], seed: int) -> WordJudge | None:
    said = [str(each.word) for each in learned]
    if len(set(said)) < 2:
        return None
    return WordJudge.learn([each.samples for each in learned], said, seed)


def _told(judged: VoicePrivacy) -> dict[str, Any]:
    facts = judged.facts()
    del facts["styles"]
    return facts | {name: _of_style(style) for name, style in judged.styles.items()}


def _of_style(style: VoiceStyle) -> dict[str, Any]:
    facts = style.facts()
    del facts["attackers"], facts["attacker"]
    return facts | {"by": {f"{each.attacker}_{each.way}": each.equal_error_rate.value for each in style.attacks}}


def _said(utterances: Sequence[Utterance], most: int) -> list[Said]:
    taken: dict[str, list[Said]] = {}
    for each in utterances:
        mine = taken.setdefault(each.speaker, [])
        if len(mine) < most:
            mine.append(Said(each.speaker, each.samples, each.sex or ""))
    return [each for said in taken.values() for each in said]


def _phrases(utterances: Sequence[Utterance]) -> list[Utterance]:
    return [each for each in utterances if each.kind == "phrase"]


def _words(utterances: Sequence[Utterance], most: int) -> list[Utterance]:
    """Words of the first so many speakers."""
    words = [each for each in utterances if each.kind == "word"]
    speakers = list(dict.fromkeys(each.speaker for each in words))[:most]
    return [each for each in words if each.speaker in speakers]
