"""What ingested speech must keep, as Pandera schemas of three tables: utterances, speakers and splits.

Nothing is coerced: a type that is nearly right is wrong. All failures are gathered before anything is said.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pandera.pandas as pa
from av.error import FFmpegError
from pandera.errors import SchemaError, SchemaErrors

from masking.voice.types import RATE
from pipelines.params import VoiceValidation
from pipelines.voice.dataset import KINDS, SOURCES, SPLITS, decode, read_index, read_sounds

SHOWN_ROWS: Final = 5
FULL_SCALE: Final = 0.999
Tables = dict[str, pd.DataFrame]


def look(sound: bytes) -> dict[str, Any]:
    """Say what a stored sound is: its digest, whether it decodes, its length, level, and share of clipped samples."""
    digest = hashlib.sha256(sound).hexdigest()
    try:
        samples = decode(sound)
    except (FFmpegError, ValueError):
        return {"sha256": digest, "decodes": False, "heard": -1, "level": 0.0, "clipped": 0.0}
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    return {"sha256": digest, "decodes": True, "heard": len(samples), "level": level, "clipped": clipped}


def gather(folder: Path) -> Tables:
    """Read the table, listen to every utterance, and count speakers and splits.

    Raises:
        OSError, pyarrow.ArrowException: The file is missing or is no Parquet file.
        KeyError: A column that is counted by is missing.
    """
    index = read_index(folder)
    facts = pd.DataFrame([look(sound) for sound in read_sounds(folder)])
    utterances = pd.concat([index, facts], axis=1).set_index("utterance_id", drop=False)
    phrases = index[index["kind"] == "phrase"]
    speakers = phrases.groupby("speaker").agg(utterances=("split", "size"), splits=("split", "nunique"))
    splits = phrases.groupby("split").agg(speakers=("speaker", "nunique")).reindex(list(SPLITS), fill_value=0)
    return {"utterances": utterances, "speakers": speakers, "splits": splits}


def schemas(params: VoiceValidation) -> dict[str, pa.DataFrameSchema]:
    """Give the schema of each table; the name of a check is that of its rule."""
    utterances = pa.DataFrameSchema(
        {
            "utterance_id": pa.Column(str, unique=True),
            "speaker": pa.Column(str),
            "sex": pa.Column(str, _one_of("f", "m"), nullable=True),
            "split": pa.Column(str, _one_of(*SPLITS)),
            "kind": pa.Column(str, _one_of(*KINDS)),
            "word": pa.Column(str, nullable=True),
            "source": pa.Column(str, _one_of(*SOURCES)),
            "samples": pa.Column("int64", pa.Check.ge(params.min_seconds * RATE, name="long_enough")),
            "sound_sha256": pa.Column(str),
            "phones": pa.Column(object, nullable=True),
            "phone_ends": pa.Column(object, nullable=True),
            "sha256": pa.Column(str),
            "decodes": pa.Column(bool, pa.Check.eq(True, name="sounds_decode")),
            "heard": pa.Column("int64"),
            "level": pa.Column("float64", pa.Check.ge(params.min_level, name="not_silent")),
            "clipped": pa.Column("float64", pa.Check.le(params.max_clipped_share, name="not_clipped")),
        },
        checks=[
            pa.Check(lambda rows: rows["sha256"] == rows["sound_sha256"], name="digests_match"),
            pa.Check(lambda rows: rows["heard"] == rows["samples"], name="lengths_match"),
            pa.Check(lambda rows: (rows["kind"] == "word") == rows["word"].notna(), name="words_are_named"),
            pa.Check(_phones_fit, name="phones_fit", ignore_na=False),
        ],
        strict=True,
    )
    speakers = pa.DataFrameSchema(
        {
            "utterances": pa.Column("int64", pa.Check.ge(params.min_utterances, name="enough_utterances")),
            "splits": pa.Column("int64", pa.Check.eq(1, name="one_split_per_speaker")),
        }
    )
    least = pa.Check.ge(params.min_speakers_per_split, name="enough_speakers")
    splits = pa.DataFrameSchema({"speakers": pa.Column("int64", least)})
    return {"utterances": utterances, "speakers": speakers, "splits": splits}


def broken(tables: Tables, params: VoiceValidation) -> list[str]:
    """Give a line for each broken rule, with the first rows that break it; none where the data pass."""
    lines: list[str] = []
    for name, schema in schemas(params).items():
        try:
            schema.validate(tables[name], lazy=True)
        except SchemaErrors as errors:
            lines += [_told(name, error) for error in errors.schema_errors]
    return lines


def _told(table: str, error: SchemaError) -> str:
    rule = error.check.name if isinstance(error.check, pa.Check) else error.reason_code.name.lower()
    cases = error.failure_cases
    if not isinstance(cases, pd.DataFrame) or "index" not in cases or cases["index"].isna().all():
        return f"{rule}: 1 of {table}: {getattr(error.schema, 'name', None) or ''} {_few(_values(cases))}"
    first = cases.drop_duplicates("index")
    if "column" in cases:  # a rule about whole rows has a case for each column of them
        shown = [str(row) for row in first["index"]]
    else:
        column, of_rows = error.schema.name, zip(first["index"], first["failure_case"], strict=True)
        shown = [f"{row} ({column}={value})" for row, value in of_rows]
    return f"{rule}: {len(shown)} of {table}: {_few(shown)}"


def _values(cases: object) -> list[str]:
    return [str(each) for each in cases["failure_case"]] if isinstance(cases, pd.DataFrame) else [str(cases)]


def _few(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = f", … and {len(listed) - SHOWN_ROWS} more" if len(listed) > SHOWN_ROWS else ""
    return ", ".join(listed[:SHOWN_ROWS]) + more


def _one_of(*values: str) -> pa.Check:
    return pa.Check.isin(list(values), name="known_values")


def _phones_fit(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Where phones are known each has an end, ends rise, and the last is that of the sound."""

    def fits(phones: Any, ends: Any, samples: int) -> bool:  # noqa: ANN401 - lists, arrays or nothing
        if phones is None or ends is None:
            return phones is None and ends is None
        return len(phones) == len(ends) > 0 and bool(np.all(np.diff(ends) > 0)) and int(ends[-1]) == samples

    told = [fits(*row) for row in zip(rows["phones"], rows["phone_ends"], rows["samples"], strict=True)]
    return pd.Series(told, index=rows.index, dtype=bool)
