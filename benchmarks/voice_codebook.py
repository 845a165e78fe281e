"""The baseline that the network of `strong` is held against: a codebook, learned from people who are not sought."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.voices import Voices
from masking.voice.loading import VoiceModel, load_voice
from masking.voice.types import Mono
from mlops.registry.bundle import open_bundle
from pipelines.params import VoiceTrain, load_params
from pipelines.voice.bundles import assemble, reviewed_vad
from pipelines.voice.codebook import Recording, learn, recording
from pipelines.voice.codebook_graph import KIND, to_graph


def codebook(data: Voices) -> VoiceModel:
    """Teach what the stage `voice_train` teaches, by its parameters, on real speech: that of all who are not sought.

    Raises:
        TooFewSpeakers: There are fewer than two.
        VadError: What finds speech is missing: `make setup` brings it.
    """
    said = [(each.speaker, each.samples) for each in data.known]
    lessons = data.lessons
    said += [(f"words of {who}", sound) for who, sound in zip(lessons.speakers, lessons.sounds, strict=True)]
    return taught(said, load_params().voice_train)


def taught(said: Sequence[tuple[str, Mono]], params: VoiceTrain) -> VoiceModel:
    """Teach a codebook on recordings and whose they are; errors as of `codebook`."""
    recordings: list[Recording] = [recording(speaker, samples) for speaker, samples in said]
    graph = to_graph(learn(recordings, params.entries, params.least_speakers, params.seed))
    with TemporaryDirectory() as folder:
        out = Path(folder) / "bundle"
        assemble(out, KIND, KIND, graph.SerializeToString(deterministic=True), recordings[0].mel, reviewed_vad())
        return load_voice(open_bundle(out, "1"))
