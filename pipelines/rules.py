"""The rules that ingested data must keep, and how a broken one is told: by its name and by the rows that break it."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

SHOWN_ROWS: Final = 5
NOUNS: Final = {
    "manifest": "face",
    "crops": "image",
    "scenes": "image",
    "images": "image",
    "identities": "identity",
    "sets": "set",
}

Row = Mapping[Hashable, object]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the gate.

    Attributes:
        name: What messages and Data Docs call it.
        meaning: What holds where it is kept, as one clause.
        shows: Columns that tell why a row breaks it.
    """

    name: str
    meaning: str
    shows: tuple[str, ...] = ()


RULES: Final = {
    rule.name: rule
    for rule in (
        Rule("columns", "a table has exactly the columns of its schema"),
        Rule("column_types", "a column has exactly the type of its schema"),
        Rule("no_missing_values", "only columns that may be empty are"),
        Rule("known_values", "categories are among those of the schema"),
        Rule("value_ranges", "numbers lie in the ranges of the schema"),
        Rule("unique_ids", "no two faces and no two images share an id"),
        Rule("boxes_inside_image", "a box lies inside its image, its corners in order and apart"),
        Rule("crops_aligned", "the face of a crop has its landmarks, by which attackers align it"),
        Rule("faces_have_images", "a face refers to an image that is there", ("image_id", "source")),
        Rule("images_decode", "the bytes of an image are a whole picture", ("fault",)),
        Rule("images_not_empty", "a picture shows more than one flat colour", ("pixel_std",)),
        Rule(
            "image_sizes_match",
            "width and height of an image are those of its picture",
            ("width", "height", "image_width", "image_height", "decoded_width", "decoded_height"),
        ),
        Rule("image_digests_match", "an image is byte for byte the one that was listed", ("image_id",)),
        Rule("splits_agree", "a face is in the split of its image", ("image_id", "split", "stored_split")),
        Rule("identities_agree", "a crop is of the person whose face it shows", ("identity", "stored_identity")),
        Rule("face_counts_match", "an image has as many faces as are listed for it", ("n_faces", "faces_listed")),
        Rule("one_split_per_identity", "nobody is in two splits", ("identity", "split", "home_split")),
        Rule("one_split_per_picture", "no picture is in two splits", ("split", "home_split")),
        Rule("enough_identities", "each split has enough identities", ("identities",)),
        Rule("enough_captures", "an identity has enough captures to be recognised by", ("captures",)),
        Rule("enough_scenes", "each split has enough scenes", ("scenes",)),
        Rule("enough_faces", "there are faces at all", ("faces",)),
        Rule("faces_large_enough", "nearly all faces are large enough to be found", ("face_side",)),
    )
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that breaks one rule.

    Attributes:
        rule: Name of the rule.
        key: Which row of which table, the same whoever found it.
        text: The row in words.
    """

    rule: str
    key: str
    text: str


def found(rule: str, table: str, name: object, key: str, row: Row) -> Finding:
    """Say in words why a row breaks a rule.

    Args:
        rule: Name of the rule.
        table: Table of the row, one of NOUNS.
        name: What the row is called in its table.
        key: Which row it is, unique over all tables.
        row: Its values.
    """
    if rule == "boxes_inside_image":
        reasons = _outside(row)
    else:
        reasons = [f"{column}={_value(row[column])}" for column in RULES[rule].shows if column in row]
    text = f"{NOUNS[table]} {name}"
    return Finding(rule, key, f"{text} ({', '.join(reasons)})" if reasons else text)


def _outside(row: Row) -> list[str]:
    sides = (
        ("x1", "<", 0),
        ("y1", "<", 0),
        ("x2", ">", "image_width"),
        ("y2", ">", "image_height"),
        ("x2", "<=", "x1"),
        ("y2", "<=", "y1"),
    )
    reasons = []
    for column, sign, limit in sides:
        value = float(str(row[column]))
        bound = float(str(row[limit])) if isinstance(limit, str) else float(limit)
        if {"<": value < bound, ">": value > bound, "<=": value <= bound}[sign]:
            reasons.append(f"{column}={value:g} {sign} {f'{limit}=' if isinstance(limit, str) else ''}{bound:g}")
    return reasons


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def report(findings: Iterable[Finding]) -> list[str]:
    """Give a line per broken rule, in the order of RULES: how many rows break it and the first of them.

    A row that two tools found to break the same rule counts once.
    """
    rows: dict[str, dict[str, str]] = {}
    for finding in findings:
        rows.setdefault(finding.rule, {}).setdefault(finding.key, finding.text)
    lines = []
    for rule in (name for name in RULES if name in rows):
        texts = list(rows[rule].values())
        more = f", … and {len(texts) - SHOWN_ROWS} more" if len(texts) > SHOWN_ROWS else ""
        count = f"{len(texts)} {'row' if len(texts) == 1 else 'rows'}"
        lines.append(f"{rule}: {count}: {', '.join(texts[:SHOWN_ROWS])}{more}")
    return lines
