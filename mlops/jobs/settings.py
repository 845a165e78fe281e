"""The settings of jobs."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, model_validator

from mlops.sections import Section


class JobSettings(Section):
    """Work that outlasts a request."""

    queue_url: SecretStr | None
    """Redis that carries the queue (``redis://…``, may hold a password); null for a SQLite file in the spool."""
    spool_path: Path
    """Folder of the media of jobs, shared by those who take them and those who do them."""
    reserve_bytes: NonNegativeInt
    """Bytes of the spool's disk that no upload may use."""
    workers: PositiveInt
    """Jobs done at one time by one worker."""
    niceness: Annotated[int, Field(ge=0, le=19)]
    """How much jobs stand back behind everything else that wants the processor; 19 is the furthest."""
    most_waiting: PositiveInt
    """Jobs that may wait; one more is refused."""
    lease_seconds: Annotated[float, Field(ge=1)]
    """Silence after which a running job's worker counts as lost, and the job is started again."""
    stall_seconds: PositiveFloat
    """Silence of the work itself, frame by frame, after which its process is ended, and the job is started again."""
    sweep_seconds: PositiveFloat
    """Seconds between two looks for lost jobs and for media whose time is over."""
    result_seconds: PositiveInt
    """Seconds that a result is kept after its job has ended."""
    history_seconds: PositiveInt
    """Seconds that a job can still be asked about after it has ended."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.history_seconds < self.result_seconds:
            raise ValueError("history_seconds must be at least result_seconds")
        return self
