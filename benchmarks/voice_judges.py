"""Judges of others, where installed: Resemblyzer (who speaks), pocketsphinx (words), speechmos (how it sounds).

None of them is needed: `pip install resemblyzer pocketsphinx speechmos` in an environment of this project.
"""

import importlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from masking.evaluation.voice.attackers import AS_IT_IS
from masking.evaluation.voice.privacy import Describe
from masking.evaluation.voice.types import Floats
from masking.voice.types import RATE, Mono

Judge = Callable[[Sequence[Mono]], float]

LEVEL: Final = 0.05
LOUDEST: Final = 0.3
EDGE_SECONDS: Final = 0.2


def embeddings() -> Describe | None:
    """Give what describes voices by Resemblyzer's 256 numbers (Wan et al., ICASSP 2018); None where it is missing."""
    if find_spec("resemblyzer") is None:
        return None
    encoder: Any = importlib.import_module("resemblyzer").VoiceEncoder("cpu", verbose=False)

    def describe(sounds: Sequence[Mono]) -> Mapping[str, Floats]:
        rows = np.array([encoder.embed_utterance(levelled(sound)) for sound in sounds], np.float64)
        return {"embedding": rows, "embedding" + AS_IT_IS: rows}

    return describe


def levelled(sound: Mono) -> Mono:
    """The same at the level that recognisers are used to."""
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
    return np.asarray(np.clip(sound * (LEVEL / (level + 1e-6)), -1, 1), np.float32)


def pocketsphinx(said: Sequence[str]) -> Judge | None:
    """Give the share of the words that pocketsphinx understands of those there are; None where it is missing."""
    if find_spec("pocketsphinx") is None:
        return None
    module: Any = importlib.import_module("pocketsphinx")
    with tempfile.TemporaryDirectory() as folder:
        grammar = Path(folder) / "words.gram"
        grammar.write_text(f"#JSGF V1.0;\ngrammar w;\npublic <w> = {' | '.join(sorted(set(said)))} ;\n", "utf-8")
        decoder = module.Decoder(jsgf=str(grammar), loglevel="FATAL", samprate=RATE)

    def hear(sound: Mono) -> str:
        edged = np.pad(sound, round(EDGE_SECONDS * RATE))
        edged = edged * min(LOUDEST / (float(np.abs(edged).max()) + 1e-6), 20.0)
        decoder.start_utt()
        decoder.process_raw((edged * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp()
        return str(heard.hypstr).strip() if heard else ""

    return lambda sounds: float(np.mean([hear(sound) == word for sound, word in zip(sounds, said, strict=True)]))


def dnsmos() -> Judge | None:
    """Give the mean overall opinion that DNSMOS predicts (Reddy et al., ICASSP 2022); None where it is missing."""
    if find_spec("speechmos") is None:
        return None
    module: Any = importlib.import_module("speechmos.dnsmos")

    def judge(sounds: Sequence[Mono]) -> float:
        return float(np.mean([module.run(np.clip(each, -1, 1), sr=RATE)["ovrl_mos"] for each in sounds]))

    return judge
