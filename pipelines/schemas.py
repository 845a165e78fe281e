"""What each ingested table must look like, row by row (Pandera): columns, types, ranges, categories, unique ids, boxes.

Nothing is coerced: a type that is nearly right is wrong. All failures are gathered before anything is said.
"""

from collections.abc import Iterator
from math import inf
from typing import Final

import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from masking.face.procedural import CONDITIONS
from pipelines.dataset import BOX_COLUMNS, LANDMARK_COLUMNS
from pipelines.facts import IMAGES, SPLITS, Tables, key
from pipelines.rules import NOUNS, Finding, found

STRUCTURE: Final = frozenset({"columns", "column_types"})
SCHEMA_RULES: Final = STRUCTURE | {
    "no_missing_values",
    "known_values",
    "value_ranges",
    "unique_ids",
    "boxes_inside_image",
    "crops_aligned",
}
UNCHECKED: Final = "?"
_ROW_REASONS: Final = {
    SchemaErrorReason.SERIES_CONTAINS_NULLS: "no_missing_values",
    SchemaErrorReason.SERIES_CONTAINS_DUPLICATES: "unique_ids",
}
_IDS: Final = {"manifest": "face_id", "crops": "image_id", "scenes": "image_id"}


def _one_of(*values: str) -> pa.Check:
    return pa.Check.isin(list(values), name="known_values")


def _boxes_inside(faces: pd.DataFrame) -> "pd.Series[bool]":
    across = (faces["x1"] >= 0) & (faces["x1"] < faces["x2"]) & (faces["x2"] <= faces["image_width"])
    down = (faces["y1"] >= 0) & (faces["y1"] < faces["y2"]) & (faces["y2"] <= faces["image_height"])
    return across & down


def _crops_aligned(faces: pd.DataFrame) -> "pd.Series[bool]":
    return (faces["source"] != "crop") | faces[list(LANDMARK_COLUMNS)].notna().all(axis=1)


def _text(*checks: pa.Check, nullable: bool = False, unique: bool = False) -> pa.Column:
    return pa.Column(str, list(checks), nullable=nullable, unique=unique)


def _whole(least: int) -> pa.Column:
    return pa.Column("Int64", pa.Check.ge(least, name="value_ranges"))


def _real(least: float = -inf, most: float = inf, nullable: bool = True) -> pa.Column:
    return pa.Column("float32", pa.Check.in_range(least, most, name="value_ranges"), nullable=nullable)


_IMAGE: Final = {
    "image_id": _text(unique=True),
    "split": _text(_one_of(*SPLITS)),
    "width": _whole(1),
    "height": _whole(1),
}
# Whose face it is, and what kind, is known of some faces only.
_WHO: Final = {"identity": _text(nullable=True), "capture": _whole(0)}
SCHEMAS: Final = {
    "manifest": pa.DataFrameSchema(
        {
            "face_id": _text(unique=True),
            "image_id": _text(),
            "source": _text(_one_of(*(table.removesuffix("s") for table in IMAGES))),
            **_WHO,
            "split": _text(_one_of(*SPLITS)),
            "image_width": _whole(1),
            "image_height": _whole(1),
            **{side: _real(nullable=False) for side in BOX_COLUMNS},
            **{landmark: _real() for landmark in LANDMARK_COLUMNS},
            "box_source": _text(_one_of("exact", "labelled", "detected")),
            "image_sha256": _text(pa.Check.str_matches(r"^[0-9a-f]{64}$", name="value_ranges")),
            "tone": _text(_one_of("light", "medium", "dark"), nullable=True),
            "light": _text(_one_of("side", "dim", "even"), nullable=True),
            "yaw": _real(-180, 180),
        },
        checks=[
            # Missing corners are inside nothing.
            pa.Check(_boxes_inside, name="boxes_inside_image", ignore_na=False),
            pa.Check(_crops_aligned, name="crops_aligned", ignore_na=False),
        ],
        strict=True,
        coerce=False,
    ),
    "crops": pa.DataFrameSchema(_IMAGE | _WHO, strict=True, coerce=False),
    "scenes": pa.DataFrameSchema(
        _IMAGE | {"n_faces": _whole(0), "condition": _text(_one_of(*CONDITIONS), nullable=True)},
        strict=True,
        coerce=False,
    ),
}


def schema_findings(tables: Tables) -> list[Finding]:
    """Hold each table against its schema; every row and column that does not fit is found, not the first alone."""
    findings = [finding for name in SCHEMAS for finding in _misfits(name, getattr(tables, name))]
    for name, kind in tables.image_types.items():
        if kind is None:
            findings.append(_column("columns", name, "image", "missing"))
        elif not (arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind)):
            findings.append(_column("column_types", name, "image", f"{kind}, not binary"))
    return findings


def _misfits(name: str, table: pd.DataFrame) -> list[Finding]:
    try:
        SCHEMAS[name].validate(table, lazy=True)
    except SchemaErrors as errors:
        found_here = [finding for error in errors.schema_errors for finding in _found(name, table, error)]
        broken = any(finding.rule in STRUCTURE for finding in found_here)
        # A check that fails to run where a column is missing says nothing new.
        return [finding for finding in found_here if not (broken and finding.key.endswith(f"[{UNCHECKED}]"))]
    return []


def _found(name: str, table: pd.DataFrame, error: SchemaError) -> Iterator[Finding]:
    reason = error.reason_code
    if reason is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        yield _column("columns", name, str(error.failure_cases), "missing")
    elif reason is SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
        yield _column("columns", name, str(error.failure_cases), "not in the schema")
    elif reason is SchemaErrorReason.WRONG_DATATYPE:
        column = str(error.schema.name)
        yield _column("column_types", name, column, f"{table[column].dtype}, not {error.schema.dtype}")
    elif reason in _ROW_REASONS or reason is SchemaErrorReason.DATAFRAME_CHECK:
        rule = _ROW_REASONS.get(reason) or str(error.check.name)
        for position in sorted(set(error.failure_cases["index"])):
            yield _row(rule, name, int(position), table, error.schema.name)
    else:
        yield Finding("column_types", key(name, UNCHECKED), f"{NOUNS[name]} table could not be checked: {error}")


def _column(rule: str, table: str, column: str, why: str) -> Finding:
    return Finding(rule, f"{table}.{column}", f"column {column} of {table} ({why})")


def _row(rule: str, name: str, position: int, table: pd.DataFrame, column: str | None) -> Finding:
    row = table.iloc[position].to_dict()
    label = row.get(_IDS[name], position)
    if column is None or rule == "unique_ids":
        return found(rule, name, label, key(name, position), row)
    finding = found(rule, name, label, key(name, position), {})
    return Finding(rule, f"{finding.key}.{column}", f"{finding.text} ({column}={row[column]})")
