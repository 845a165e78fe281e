"""The settings of experiments."""

from typing import Annotated

from pydantic import Field, PositiveFloat

from mlops.sections import Section


class ExperimentSettings(Section):
    """Experiments on live traffic, and what they are asked that do not say."""

    tick_seconds: PositiveFloat
    """Seconds between two looks at the experiments that run."""
    alpha: Annotated[float, Field(ge=1e-6, le=0.2)]
    """Share of experiments without any difference that may ever say that there is one."""
    power: Annotated[float, Field(ge=0.5, le=0.99)]
    """Share of experiments with the minimum effect that find it within the planned size."""
    longest_seconds: PositiveFloat
    """Longest duration of an experiment."""
    least_subjects: Annotated[int, Field(ge=2)]
    """Subjects that every arm needs before anything is said."""
    history_seconds: PositiveFloat
    """How far predictions of the past are read for what the plan expects, and for what subjects did before."""
