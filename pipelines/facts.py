"""What the rules of the gate are checked on: the tables of ingested data, and what pixels and joins say about them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from masking.errors import MediaError
from masking.media.image import decode, views
from masking.media.probe import ImageLimits, probe

IMAGES: Final = ("crops", "scenes")
SPLITS: Final = ("train", "test")
# What the project itself wrote is not limited by what it would accept from strangers.
_LIMITS: Final = ImageLimits(bytes=2**30, pixels=2**28, side=2**16)
_BATCH: Final = 16
_FACTS: Final = ("sha256", "decodes", "fault", "decoded_width", "decoded_height", "pixel_std")
_WHOLE: Final = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The ingested tables without the images' bytes, which are looked at one by one and may not fit in memory.

    Attributes:
        manifest: A row per face.
        crops: A row per picture of one person.
        scenes: A row per picture of any number of people.
        image_types: Arrow type of the column `image` of crops and scenes; None where there is no such column.
    """

    manifest: pd.DataFrame
    crops: pd.DataFrame
    scenes: pd.DataFrame
    image_types: dict[str, pa.DataType | None]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """What the set-level rules are checked on; each has the columns `key` and `name` that tell its rows.

    Attributes:
        manifest: A row per face, with what is stored of its image and where its identity is at home.
        images: A row per image, with what its pixels say.
        identities: A row per identity that has crops, with how many captures.
        sets: A row per split and one for all, with how many identities and scenes.
    """

    manifest: pd.DataFrame
    images: pd.DataFrame
    identities: pd.DataFrame
    sets: pd.DataFrame


def read_tables(folder: Path) -> Tables:
    """Read the manifest and the image tables of ``folder``.

    Raises:
        OSError, pyarrow.ArrowInvalid: A file is missing or is no Parquet file.
    """
    tables, types = {}, {}
    for name in ("manifest", *IMAGES):
        schema = pq.read_schema(folder / f"{name}.parquet")
        types[name] = schema.field("image").type if "image" in schema.names else None
        columns = [column for column in schema.names if name == "manifest" or column != "image"]
        # Whole numbers stay whole where some are missing, so that a column has the type it was written with.
        table = pq.ParquetFile(folder / f"{name}.parquet").read(columns=columns)
        tables[name] = table.to_pandas(types_mapper=_WHOLE.get)
    return Tables(**tables, image_types={name: types[name] for name in IMAGES})


def read_images(folder: Path, table: str) -> Iterator[bytes]:
    """Give the bytes of each image of a table, few in memory at a time; empty where there are none."""
    for batch in pq.ParquetFile(folder / f"{table}.parquet").iter_batches(batch_size=_BATCH, columns=["image"]):
        for value in batch.column(0):
            yield value.as_py() or b""


def look(data: bytes) -> dict[str, Any]:
    """Say what an image is: SHA-256, whether it decodes and why not, its size in px, and its greatest deviation.

    The deviation is the standard deviation of the channel that varies most, of 255. Without a picture, it and the size
    are missing.
    """
    facts: dict[str, Any] = {"sha256": hashlib.sha256(data).hexdigest(), "decodes": False, "fault": ""}
    try:
        pixels = views(decode(data, probe(data, _LIMITS)).pixels)[0]
    except MediaError as error:
        return facts | {"fault": str(error), "decoded_width": None, "decoded_height": None, "pixel_std": None}
    _, deviation = cv2.meanStdDev(pixels)
    height, width = pixels.shape[:2]
    seen = {"decodes": True, "decoded_width": width, "decoded_height": height, "pixel_std": float(deviation.max())}
    return facts | seen


def gather(folder: Path, tables: Tables) -> Frames:
    """Look at every image and join the tables, which must have the columns and types of their schemas."""
    images = _images(folder, tables)
    return Frames(
        manifest=_faces(tables.manifest, images),
        images=images,
        identities=_identities(tables.crops),
        sets=_sets(tables),
    )


def key(table: str, position: object) -> str:
    """Say which row of which table, the same wherever it is found."""
    return f"{table}[{position}]"


def _images(folder: Path, tables: Tables) -> pd.DataFrame:
    parts = []
    for table in IMAGES:
        frame: pd.DataFrame = getattr(tables, table)
        part = frame[["image_id", "split", "width", "height"]].copy()
        part["table"] = table
        # A crop shows one face, and only crops say whose.
        part["n_faces"] = frame.get("n_faces", 1)
        part["identity"] = frame.get("identity", pd.Series(None, index=frame.index, dtype="str"))
        part["key"] = [key(table, position) for position in range(len(frame))]
        facts = pd.DataFrame([look(data) for data in read_images(folder, table)], columns=list(_FACTS))
        facts = facts.astype({"decoded_width": "Int64", "decoded_height": "Int64", "pixel_std": "float64"})
        parts.append(pd.concat([part.reset_index(drop=True), facts], axis=1))
    images = pd.concat(parts, ignore_index=True)
    images["name"] = images["image_id"]
    images["home_split"] = _home(images["sha256"], images["split"])
    listed = tables.manifest["image_id"].value_counts()
    images["faces_listed"] = images["image_id"].map(listed).fillna(0).astype("int64")
    return images


def _faces(manifest: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    faces = manifest.copy()
    faces["key"] = [key("manifest", position) for position in range(len(faces))]
    faces["name"] = faces["face_id"]
    # The same id twice is a fault of its own; the first stands for it here.
    stored = images.drop_duplicates("image_id").set_index("image_id")
    for column in ("width", "height", "sha256", "split"):
        faces[f"stored_{column}"] = faces["image_id"].map(stored[column])
    faces["image_found"] = faces["image_id"].map(stored["table"]) == faces["source"] + "s"
    faces["stored_identity"] = faces["image_id"].map(stored["identity"])
    mine, theirs = faces["identity"].fillna(""), faces["stored_identity"].fillna("")
    faces["identity_agrees"] = (faces["source"] != "crop") | (mine == theirs)
    faces["home_split"] = _home(faces["identity"], faces["split"])
    sides = faces[["x2", "y2"]].to_numpy("float64") - faces[["x1", "y1"]].to_numpy("float64")
    faces["face_side"] = sides.min(axis=1) if len(sides) else 0.0
    return faces


def _home(who: "pd.Series[Any]", split: "pd.Series[Any]") -> "pd.Series[Any]":
    """Give the split where most rows of the same value are, the first of SPLITS where as many are in another."""
    counts = pd.crosstab(who, split)
    if counts.empty:
        return pd.Series(None, index=who.index, dtype="str")
    order = [*SPLITS, *(other for other in counts.columns if other not in SPLITS)]
    return who.map(counts.reindex(columns=order, fill_value=0).idxmax(axis=1))


def _identities(crops: pd.DataFrame) -> pd.DataFrame:
    known = crops.dropna(subset=["identity"])
    captures = known.groupby("identity")["image_id"].nunique().sort_index()
    names = [str(name) for name in captures.index]
    return pd.DataFrame(
        {"key": [key("identities", name) for name in names], "name": names, "captures": captures.to_numpy("int64")}
    )


def _sets(tables: Tables) -> pd.DataFrame:
    known = tables.crops.dropna(subset=["identity"]).groupby("split")["identity"].nunique()
    # Where nobody is known there are no people to count: the rule does not apply.
    people = {split: int(known.get(split, 0)) if len(known) else None for split in SPLITS}
    rows = [{"key": key("sets", split), "name": split, "identities": count} for split, count in people.items()]
    rows.append({"key": key("sets", "all"), "name": "all", "scenes": len(tables.scenes), "faces": len(tables.manifest)})
    return pd.DataFrame(rows).astype(dict.fromkeys(("identities", "scenes", "faces"), "Int64"))
