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


class Params(Section):
    """All of params.yaml."""

    ingest: Ingest = Ingest()
    validation: Validation = Validation()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    register_: Annotated[Register, Field(alias="register")]


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises:
        pydantic.ValidationError: A name is misspelt, or a value out of range.
    """
    return Params.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
