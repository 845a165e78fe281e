"""What was done to one file: counts, scores and policy, never an identity and never a pixel."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class MaskReport:
    """The account that goes with a masked picture.

    Attributes:
        kind: Media type of input and output, such as ``image/jpeg``.
        width: Columns of the upright picture.
        height: Rows of the upright picture.
        faces: How many faces are masked.
        scores: Their detector scores in [0, 1], descending.
        style: Style of the mask.
        threshold: Detector score from which a face is masked.
        notes: What else was changed, such as ``metadata_dropped``.
    """

    kind: str
    width: int
    height: int
    faces: int
    scores: tuple[float, ...]
    style: str
    threshold: float
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Give the report as values that JSON knows."""
        return asdict(self)
