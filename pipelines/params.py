"""The sections of params.yaml, one class a stage; a name that no stage has is an error."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from mlops.rollout.gate import Rule

Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A section of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ingest(Section):
    """What the data are made of."""

    source: Literal["synthetic", "folder"] = "synthetic"
    """Procedural faces, or the user's own photos."""
    folder: Path = Path("data/photos")
    """Where the user's own photos lie, best one folder a person."""
    own_people: NonNegativeInt = 34
    """Fewest people (folders) of the user's photos on whom privacy is judged; with fewer, procedural ones stand in."""
    seed: NonNegativeInt = 7
    """All that is drawn comes from it."""
    identities: PositiveInt = 60
    """Procedural people."""
    captures: PositiveInt = 8
    """Crops of each of them."""
    crop_px: PositiveInt = 112
    """Side of a crop."""
    scenes: PositiveInt = 80
    """Pictures with several faces, or none."""
    scene_px: tuple[PositiveInt, PositiveInt] = (640, 480)
    """Width and height of a scene."""
    test_share: Share = 0.6
    """Share of the people, and of the scenes, that only evaluation sees."""


class Validation(Section):
    """What the data must at least be."""

    min_identities_per_split: NonNegativeInt = 8
    """People in each split, where people are known."""
    min_captures: NonNegativeInt = 2
    """Crops of each person."""
    min_scenes: NonNegativeInt = 10
    """Scenes in all."""
    min_pixel_std: PositiveFloat = 2.0
    """Least standard deviation of a picture's pixels, of 255; below it the picture counts as empty."""
    min_face_px: PositiveFloat = 4.0
    """Shorter side of a box from which a face counts as large enough to be found."""
    large_face_share: Share = 0.95
    """Least share of faces that are so large."""


class Train(Section):
    """How the detector is made."""

    recipe: Literal["int8-static-qdq"] = "int8-static-qdq"
    """Static quantisation, see pipelines/quantization.py."""
    calibration_images: PositiveInt = 32
    """Most scenes of the training split that the ranges of activations are read from."""
    least_images: PositiveInt = 8
    """Fewest of them; with fewer the ranges would be those of chance."""


class Evaluate(Section):
    """How the candidate is measured."""

    threshold: Share = 0.2
    """Detector score from which a face counts as found; what serving uses by default."""
    iou: Share = 0.4
    """Overlap from which a detection is the labelled face."""
    people: PositiveInt = 20
    """Fewest people that the privacy of a style is judged on."""
    captures: Annotated[int, Field(ge=2)] = 5
    """Most crops of each of them that are masked and judged."""
    judge_floor: Share = 0.5
    """Rank-1 rate that the attacker must reach on unmasked faces, or the evaluation is invalid."""
    trials: PositiveInt = 10
    """Draws of background people, gallery and probes."""
    slice_scenes: PositiveInt = 16
    """Most scenes with a face that are seen again in each slice: turned, dark, blurred, faces covered."""
    slice_faces: PositiveInt = 20
    """Fewest faces of a slice that is compared with the base: among fewer, one face would decide."""
    clips: PositiveInt = 2
    """Procedural clips, each of two shots, in which faces are followed."""
    clip_frames: PositiveInt = 30
    """Frames of a shot."""
    seed: NonNegativeInt = 0
    """Of the draws."""


class GateRule(Section):
    """A bound on one figure of the evaluation."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    if_measured: bool = False
    """Of what not every model has; a figure that is not there then breaks nothing."""

    def as_rule(self) -> Rule:
        """Give the rule as the gate takes it."""
        return Rule(self.metric, self.at_least, self.at_most, self.if_measured)


class Register(Section):
    """What a version must reach to be registered."""

    gate: Annotated[tuple[GateRule, ...], Field(min_length=1)]


class VoiceIngest(Section):
    """What speech the voice model is made of."""

    source: Literal["synthetic", "folder", "librispeech"] = "synthetic"
    """Procedural speakers, the user's own recordings, or a LibriSpeech-like tree that is on this machine."""
    folder: Path = Path("data/voices")
    """Where recordings lie: SPEAKER/*.wav (flac, mp3, ogg, m4a), or SPEAKER/CHAPTER/*.flac."""
    seed: NonNegativeInt = 7
    """All that is drawn comes from it."""
    speakers: Annotated[int, Field(ge=6, multiple_of=2)] = 64
    """Procedural speakers, half of them women."""
    utterances: Annotated[int, Field(ge=2)] = 4
    """Phrases of each of them."""
    words: PositiveInt = 5
    """Words that each of them says by itself, too, for the judge of what is understood."""
    espeak: bool = True
    """Whether espeak-ng, where it is installed, gives more speakers to train on."""
    longest_seconds: PositiveFloat = 15.0
    """A recording that is longer is cut into parts of about this length."""
    speaker_seconds: PositiveFloat = 120.0
    """Most speech of one speaker that is taken."""
    train_share: Share = 0.4
    """Share of the speakers that the model learns from."""
    attack_share: Share = 0.3
    """Share of the speakers that attackers learn from; the others are the ones that they seek."""


class VoiceValidation(Section):
    """What ingested speech must at least be."""

    min_speakers_per_split: NonNegativeInt = 8
    """Speakers in each split."""
    min_utterances: NonNegativeInt = 2
    """Utterances of each speaker."""
    min_seconds: PositiveFloat = 0.2
    """Length of the shortest utterance."""
    min_level: PositiveFloat = 0.001
    """Least root mean square of an utterance; below it there is nothing to hear."""
    max_clipped_share: Share = 0.05
    """Most of the samples of an utterance that may lie at full scale."""


class VoiceTrain(Section):
    """How the codebook is made."""

    entries: PositiveInt = 128
    """Most averages of speakers."""
    least_speakers: Annotated[int, Field(ge=2)] = 20
    """Speakers in each average; all that there are where they are fewer."""
    seed: NonNegativeInt = 0
    """Of the draws."""


class VoiceEvaluate(Section):
    """How the candidate, and the base beside it, are measured."""

    utterances: Annotated[int, Field(ge=2)] = 4
    """Most phrases of each speaker that are masked and attacked."""
    copies: PositiveInt = 1
    """How often what attackers learn from is masked, each time with other pseudo-voices."""
    word_speakers: PositiveInt = 20
    """Most speakers whose words the judge of what is understood learns, and as many whose masked words he hears."""
    compared: PositiveInt = 20
    """Most phrases whose melody, length and sync are compared."""
    seed: NonNegativeInt = 0
    """Of the draws."""


class VoiceNetwork(Section):
    """How the network of the style `strong` is trained; see pipelines/voice/network."""

    held_aside: Path = Path("models/voice/held_aside.txt")
    """Speakers whose speech training never sees, one a line; figures are measured on them."""
    held_aside_share: Share = 0.2
    """Share of the speakers that is held aside instead, where nobody of that list is among them."""
    longest_seconds: PositiveFloat = 40.0
    """Most of one recording that is heard, from its beginning."""
    speaker_seconds: PositiveFloat = 60.0
    """Speech of one speaker from which on no more recordings are taken."""
    workers: PositiveInt = 2
    """Processes in which recordings are heard."""
    threads: PositiveInt = 1
    """Threads of training; with more, they wait for one another wherever the machine has other work."""
    seed: NonNegativeInt = 0
    """Of all that is drawn."""
    steps: PositiveInt = 3600
    """Batches that are learned from."""
    batch: PositiveInt = 16
    """Stretches in a batch."""
    window: Annotated[int, Field(ge=32)] = 160
    """Frames of a stretch."""
    rate: PositiveFloat = 0.002
    """Highest rate of learning; it rises to it, and falls to nothing."""
    decoder_steps: PositiveInt = 500
    """Batches that the decoder learns from alone, once the encoder is done."""
    decoder_rate: PositiveFloat = 0.001
    """Its highest rate of learning then."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    """Pull of all weights towards 0."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the encoder's values that a step leaves out."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Share of a frame's label that all classes have, as the teacher errs."""
    silence_weight: PositiveFloat = 0.4
    """What a frame of silence counts against one of speech."""
    sharpness: PositiveFloat = 1.5
    """What scores are multiplied by before they become shares of classes, when used: the inverse of a temperature."""
    voicing_slope: PositiveFloat = 40.0
    """How steeply the voicing that comes out turns from none to full."""


class VoiceRegister(Section):
    """What a trained voice model must reach to replace the one that ships."""

    gate: Annotated[tuple[GateRule, ...], Field(min_length=1)]


class Params(Section):
    """All of params.yaml."""

    ingest: Ingest = Ingest()
    validation: Validation = Validation()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    register_: Annotated[Register, Field(alias="register")]
    voice_ingest: VoiceIngest = VoiceIngest()
    voice_validation: VoiceValidation = VoiceValidation()
    voice_train: VoiceTrain = VoiceTrain()
    voice_evaluate: VoiceEvaluate = VoiceEvaluate()
    voice_network: VoiceNetwork = VoiceNetwork()
    voice_register: VoiceRegister


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises:
        pydantic.ValidationError: A name is misspelt, or a value out of range.
    """
    return Params.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
