"""What was done to the voices of one file: spans, policy and model, never an identity and never a sound."""

from dataclasses import asdict, dataclass, field, replace
from typing import Self

from masking.version import SCHEMA, VERSION
from masking.voice.loading import VoiceModel
from masking.voice.policy import VoicePolicy
from masking.voice.types import RATE


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech in one go, masked with one pseudo-voice.

    Attributes:
        first_seconds: Where it begins, in seconds from the start of the sound.
        last_seconds: Where it ends.
        speaker: Number of the speaker in this file, from 0, where pseudo-voices are kept per speaker; else None. It
            says nothing of who it is.
    """

    first_seconds: float
    last_seconds: float
    speaker: int | None = None


@dataclass(slots=True)
class Account:
    """What happened in a stream so far.

    Attributes:
        speech: Samples at 16 kHz for which the gate was open.
        utterances: Where somebody speaks.
    """

    speech: int = 0
    utterances: list[Utterance] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class VoiceReport:
    """The account that goes with masked sound.

    Attributes:
        kind: Media type of input and output, such as ``audio/wav``; of a video's sound that of the video.
        seconds: How long the sound lasts.
        rate: Samples per second of each channel.
        channels: How many channels there are.
        speech_seconds: How much of it was taken for speech, margins included.
        utterances: Where somebody speaks.
        style: How voices are masked.
        background: What became of the rest: ``drop`` or ``keep``.
        consistent: Whether one speaker keeps one pseudo-voice.
        policy: Digest of all that was asked for; see `masking.voice.policy.VoicePolicy.digest`.
        notes: What else was changed, such as ``metadata_dropped``.
        input_sha256: Of the file that came in, hex.
        output_sha256: Of the file that went out, hex.
        damage: Why the rest of the sound is missing; empty if nothing is.
        needs_review: Whether a person should listen to the result.
        model: Name of the model that masked the voices.
        model_version: Its version in the registry.
        precision: Which of its graphs ran.
        code: Version of the masking code.
        schema: Number of this form of report.
    """

    kind: str
    seconds: float
    rate: int
    channels: int
    speech_seconds: float
    utterances: tuple[Utterance, ...]
    style: str
    background: str
    consistent: bool
    policy: str
    notes: tuple[str, ...] = ()
    input_sha256: str = ""
    output_sha256: str = ""
    damage: str = ""
    needs_review: bool = False
    model: str = ""
    model_version: str = ""
    precision: str = ""
    code: str = VERSION
    schema: int = SCHEMA

    @classmethod
    def of(cls, account: Account, policy: VoicePolicy, kind: str, rate: int, channels: int, samples: int) -> Self:
        """Tell of sound of ``samples`` samples of each channel; files, notes and model are to be added."""
        seconds = round(samples / rate, 3)
        return cls(
            kind=kind,
            seconds=seconds,
            rate=rate,
            channels=channels,
            speech_seconds=min(round(account.speech / RATE, 3), seconds),
            # The last window may reach beyond the end.
            utterances=tuple(
                replace(each, last_seconds=min(each.last_seconds, seconds)) for each in account.utterances
            ),
            style=policy.style,
            background=policy.background,
            consistent=policy.consistent,
            policy=policy.digest,
        )

    def by(self, model: VoiceModel) -> Self:
        """Give the report with the model that masked the voices."""
        return replace(self, model=model.name, model_version=model.version, precision=model.precision)

    def as_dict(self) -> dict[str, object]:
        """Give the report as values that JSON knows."""
        return asdict(self)
