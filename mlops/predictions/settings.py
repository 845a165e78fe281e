"""The settings of predictions, captures and queries."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr

from mlops.sections import Names, Section


class PredictionSettings(Section):
    """The table of predictions, and the way into it."""

    url: SecretStr
    """``sqlite:///…`` (a file of its own) or ``postgresql+psycopg2://…``; may hold a password."""
    password_file: Path | None
    """File that holds the password, instead of the URL."""
    queue_rows: PositiveInt
    """Rows that wait in the process at most; more are lost, and counted."""
    batch_rows: PositiveInt
    """Rows that are written at one time."""
    flush_seconds: PositiveFloat
    """Longest time that a row waits in the process."""
    spool_path: Path
    """Folder of the rows that the database has not taken yet."""
    spool_bytes: PositiveInt
    """Bytes of such rows; more are lost, and counted."""
    keep_seconds: PositiveInt
    """Seconds that a prediction is kept."""
    parquet_path: Path
    """Folder that predictions, features and results land in as Parquet."""
    parquet_seconds: PositiveFloat
    """Seconds between two landings."""


class CaptureSettings(Section):
    """Samples of features and of masked output."""

    share: Annotated[float, Field(ge=0, le=1)]
    """Share of the predictions that are captured; 0 for none, whatever else is said here."""
    release_share: Annotated[float, Field(ge=0, le=1)]
    """Share of a candidate's masked pictures that are captured while a release runs, and as many of the champion's: the
    more are judged, the sooner a face that shows ends the release."""
    path: Path
    """Folder of the captures."""
    most_bytes: NonNegativeInt
    """Bytes of captures kept; beyond them capturing stops."""
    reserve_bytes: NonNegativeInt
    """Bytes of the disk that no capture may use."""
    keep_seconds: PositiveInt
    """Seconds that a capture is kept."""
    features_land: Names
    """Endpoints whose captured features land as Parquet, too, which is not sealed; of a generic model they are what
    came in, so name one here only where that may lie open on the disk."""
    raw_granters: Names
    """Who may grant that raw input of an endpoint is captured, too; empty for nobody."""
    raw_most_seconds: PositiveInt
    """Longest time that such a grant may last."""


class SqlSettings(Section):
    """Queries over Parquet."""

    most_rows: PositiveInt
    """Rows of one answer."""
    seconds: PositiveFloat
    """Longest time of one query."""
