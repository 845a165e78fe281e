"""Stage `voice_train`: a codebook of averages of speakers, as a bundle of the voice model.

This is the baseline that needs nothing but what every stage has. The network that challenges it is trained apart, by
`make train-voice`, which needs an environment of its own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from mlops.settings import load_settings
from pipelines.params import VoiceTrain, load_params
from pipelines.voice.bundles import assemble, reviewed_vad
from pipelines.voice.codebook import Codebook, Recording, TooFewSpeakers, learn, recording
from pipelines.voice.codebook_graph import KIND, to_graph
from pipelines.voice.dataset import read

INGESTED: Final = Path("data/voices-ingested")
OUT: Final = Path("data/voice-model")
FACTS: Final = Path("reports/metrics/voice-training.json")


def train(recordings: list[Recording], params: VoiceTrain) -> Codebook:
    """Learn the codebook of the training split.

    Raises:
        TooFewSpeakers: There are fewer than two.
    """
    return learn(recordings, params.entries, params.least_speakers, params.seed)


def facts(codebook: Codebook, recordings: list[Recording], seconds: float) -> dict[str, Any]:
    """Say what was learned, from how much."""
    return {
        "entries": len(codebook.centres),
        "speakers": len({each.speaker for each in recordings}),
        "least_speakers_per_entry": int(codebook.speakers.min()),
        "speech_seconds": round(sum(len(each.mel) for each in recordings) / 100, 1),
        "train_seconds": round(seconds, 2),
    }


def main() -> None:
    """Train from data/voices-ingested into data/voice-model."""
    params, name = load_params().voice_train, load_settings().registry.voice_model
    start = time.perf_counter()
    recordings = [recording(each.speaker, each.samples) for each in read(INGESTED, "train", "phrase")]
    try:
        codebook = train(recordings, params)
    except TooFewSpeakers as error:
        sys.exit(f"voice_train: {error}")
    graph = to_graph(codebook).SerializeToString(deterministic=True)
    digest = assemble(OUT, name, KIND, graph, recordings[0].mel, reviewed_vad())
    told = facts(codebook, recordings, time.perf_counter() - start)
    FACTS.parent.mkdir(parents=True, exist_ok=True)
    FACTS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    few = "" if told["least_speakers_per_entry"] >= params.least_speakers else f", fewer than {params.least_speakers}"
    sys.stderr.write(
        f"voice_train: bundle {digest[:12]}: {told['entries']} averages of at least "
        f"{told['least_speakers_per_entry']} of {told['speakers']} speakers each{few}\n"
    )


if __name__ == "__main__":
    main()
