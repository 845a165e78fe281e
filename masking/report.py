"""What was done to one file: counts, scores, spans and policy, never an identity and never a pixel."""

from dataclasses import asdict, dataclass, replace
from typing import Self

from masking.face.loading import LoadedModel
from masking.version import SCHEMA as SCHEMA
from masking.version import VERSION as VERSION
from masking.voice.report import VoiceReport


@dataclass(frozen=True, slots=True)
class Span:
    """Frames in a row, first and last included, in which one thing held.

    Attributes:
        first: Number of the first frame, from 0.
        last: Number of the last frame.
        how: How the face was covered (``seen``, ``tracked``, ``held``, ``extended``, ``listed``), or why the frames are
            in doubt.
    """

    first: int
    last: int
    how: str


@dataclass(frozen=True, slots=True)
class Track:
    """One face through the frames of a video.

    Attributes:
        track: Its number in this file; it says nothing of who it is.
        first: Number of the first frame that it is covered in.
        last: Number of the last.
        score: Highest detector score in [0, 1].
        spans: How each stretch was covered.
    """

    track: int
    first: int
    last: int
    score: float
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class MaskReport:
    """The account that goes with a masked file.

    Attributes:
        kind: Media type of input and output, such as ``image/jpeg``.
        width: Columns of the upright picture.
        height: Rows of the upright picture.
        faces: How many faces are masked; in a video, how many tracks.
        scores: Their detector scores in [0, 1], descending.
        style: Style of the mask.
        threshold: Detector score from which a face is masked.
        search: How hard faces were looked for.
        policy: Digest of all that was asked for; see `masking.policy.Policy.digest`.
        notes: What else was changed, such as ``metadata_dropped``.
        input_sha256: Of the file that came in, hex.
        output_sha256: Of the file that went out, hex.
        frames: How many frames were masked; 1 for a picture.
        seconds: How long the video lasts; 0 for a picture.
        tracks: The faces of a video.
        doubts: Frames of a video that were masked whole, and why.
        damage: Why frames of a video are missing, at its end or on the way; empty if none are.
        needs_review: Whether a person should look at the result.
        voice: What was done to the voices of a video, where they are masked.
        copied: How many frames of a video are the packets of the input, in which nothing was masked.
        model: Name of the model that found the faces.
        model_version: Its version in the registry.
        precision: Which of its graphs ran.
        code: Version of the masking code.
        schema: Number of this form of report.
    """

    kind: str
    width: int
    height: int
    faces: int
    scores: tuple[float, ...]
    style: str
    threshold: float
    search: str
    policy: str
    notes: tuple[str, ...]
    input_sha256: str
    output_sha256: str
    frames: int = 1
    seconds: float = 0.0
    tracks: tuple[Track, ...] = ()
    doubts: tuple[Span, ...] = ()
    damage: str = ""
    needs_review: bool = False
    voice: VoiceReport | None = None
    copied: int = 0
    model: str = ""
    model_version: str = ""
    precision: str = ""
    code: str = VERSION
    schema: int = SCHEMA

    def by(self, model: LoadedModel) -> Self:
        """Give the report with the model that found the faces."""
        return replace(self, model=model.name, model_version=model.version, precision=model.precision)

    def as_dict(self) -> dict[str, object]:
        """Give the report as values that JSON knows."""
        return asdict(self)
