"""The ingested data: two tables of pictures and a manifest with a row per face, as Parquet files in one folder.

crops.parquet      a picture of one person, for attackers on privacy
scenes.parquet     a picture of any number of people, also of none, for detection
manifest.parquet   a face of either: whose, where, how it is known, in which split
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from numpy.typing import NDArray

Split = Literal["train", "test"]
Table = Literal["crops", "scenes"]

LANDMARKS: Final = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
LANDMARK_COLUMNS: Final = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in ("x", "y"))
BOX_COLUMNS: Final = ("x1", "y1", "x2", "y2")
_JPEG_QUALITY: Final = 95
_ROWS_AT_ONCE: Final = 64

_TEXT, _COUNT, _REAL = pa.string(), pa.int64(), pa.float32()
_PICTURE: Final = [("image_id", _TEXT), ("split", _TEXT), ("width", _COUNT), ("height", _COUNT), ("image", pa.binary())]
SCHEMAS: Final[dict[str, Any]] = {
    "crops": pa.schema([*_PICTURE, ("identity", _TEXT), ("capture", _COUNT)]),
    "scenes": pa.schema([*_PICTURE, ("n_faces", _COUNT), ("condition", _TEXT)]),
    "manifest": pa.schema(
        [
            ("face_id", _TEXT),
            ("image_id", _TEXT),
            ("source", _TEXT),
            ("identity", _TEXT),
            ("capture", _COUNT),
            ("split", _TEXT),
            ("image_width", _COUNT),
            ("image_height", _COUNT),
            *((name, _REAL) for name in BOX_COLUMNS),
            *((name, _REAL) for name in LANDMARK_COLUMNS),
            ("box_source", _TEXT),
            ("image_sha256", _TEXT),
            ("tone", _TEXT),
            ("light", _TEXT),
            ("yaw", _REAL),
        ]
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face of a picture, as the manifest lists it.

    Attributes:
        box: (4,) float32 ``x1, y1, x2, y2`` in px.
        landmarks: (5, 2) float32 in px, ordered as ``LANDMARKS``; None where nobody marked them.
        box_source: How the box is known: by construction, from a person's label, or from the base model.
        identity: Who it is, None where that is not known.
        capture: Which picture of this person, from 0; 0 where the person is not known.
        tone, light: Slices by skin tone and light, None where they are not known.
        yaw: Degrees, positive to the image's right; None where it is not known.
    """

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None
    box_source: Literal["exact", "labelled", "detected"]
    identity: str | None = None
    capture: int = 0
    tone: str | None = None
    light: str | None = None
    yaw: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as it is stored: ``image`` is a JPEG; ``condition`` says how a scene was worn, None if not known."""

    table: Table
    image_id: str
    split: Split
    width: int
    height: int
    image: bytes
    faces: tuple[Face, ...]
    condition: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A scene to look at: RGB uint8 ``pixels`` (h, w, 3), ``boxes`` (n, 4) and ``landmarks`` (n, 5, 2) float32 px.

    Landmarks that nobody marked are NaN.
    """

    image_id: str
    split: str
    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    condition: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A picture of one person: RGB uint8 ``pixels`` (h, w, 3), ``box`` (4,) and ``landmarks`` (5, 2) float32 px."""

    image_id: str
    split: str
    identity: str | None
    capture: int
    pixels: NDArray[np.uint8]
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]


def picture(
    table: Table,
    image_id: str,
    split: Split,
    pixels: NDArray[np.uint8],
    faces: tuple[Face, ...],
    condition: str | None = None,
) -> Picture:
    """Encode (h, w, 3) RGB uint8 pixels for storage, as JPEG of full colour resolution."""
    height, width = pixels.shape[:2]
    image = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=_JPEG_QUALITY, colorspace="RGB", colorsubsampling="444", fastdct=False
    )
    return Picture(table, image_id, split, width, height, bytes(image), faces, condition)


class Writer:
    """Writes pictures into a new folder, which takes its name only when all is written.

    The same pictures in the same order give the same bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder.with_name(folder.name + ".partial")
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}

    def __enter__(self) -> Self:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._files = {
            name: pq.ParquetWriter(self._partial / f"{name}.parquet", schema, compression="zstd")
            for name, schema in SCHEMAS.items()
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, file in self._files.items():
            self._flush(name)
            file.close()
        if kind is not None:
            shutil.rmtree(self._partial)
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._partial.rename(self._folder)

    def add(self, item: Picture) -> None:
        """Append a picture and its faces."""
        row = {name: getattr(item, name) for name in ("image_id", "split", "width", "height", "image")}
        if item.table == "crops":
            (face,) = item.faces
            row |= {"identity": face.identity, "capture": face.capture}
        else:
            row |= {"n_faces": len(item.faces), "condition": item.condition}
        self._append(item.table, row)
        digest = hashlib.sha256(item.image).hexdigest()
        for index, face in enumerate(item.faces):
            self._append("manifest", _face_row(item, index, face, digest))

    def _append(self, name: str, row: dict[str, Any]) -> None:
        self._rows[name].append(row)
        if len(self._rows[name]) == _ROWS_AT_ONCE:
            self._flush(name)

    def _flush(self, name: str) -> None:
        if self._rows[name]:
            self._files[name].write_table(pa.Table.from_pylist(self._rows[name], SCHEMAS[name]))
            self._rows[name].clear()


def _face_row(item: Picture, index: int, face: Face, digest: str) -> dict[str, Any]:
    points = [None] * len(LANDMARK_COLUMNS) if face.landmarks is None else face.landmarks.ravel().tolist()
    return {
        "face_id": f"{item.image_id}-{index}",
        "image_id": item.image_id,
        "source": item.table.removesuffix("s"),
        "split": item.split,
        "image_width": item.width,
        "image_height": item.height,
        "image_sha256": digest,
        **dict(zip(BOX_COLUMNS, face.box.tolist(), strict=True)),
        **dict(zip(LANDMARK_COLUMNS, points, strict=True)),
        **{name: getattr(face, name) for name in ("identity", "capture", "box_source", "tone", "light", "yaw")},
    }


def read_manifest(folder: Path) -> pd.DataFrame:
    """Read the manifest: a row per face, with the columns of ``SCHEMAS["manifest"]``."""
    frame: pd.DataFrame = _read(folder, "manifest").to_pandas()
    return frame


def read_index(folder: Path, table: Table) -> pd.DataFrame:
    """Read what is known of each picture of a table, all columns but the picture itself."""
    frame: pd.DataFrame = _read(folder, table).to_pandas()
    return frame


def read_images(folder: Path, table: Table, split: Split | None = None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Give id and (h, w, 3) RGB uint8 pixels of each picture in its stored order, few in memory at a time."""
    file = pq.ParquetFile(folder / f"{table}.parquet")
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=["image_id", "split", "image"]):
        for row in batch.to_pylist():
            if split is None or row["split"] == split:
                yield row["image_id"], simplejpeg.decode_jpeg(row["image"], colorspace="RGB", fastdct=False)


def read_scenes(folder: Path, split: Split | None = None) -> Iterator[Scene]:
    """Give the scenes of a split, or all, with the boxes of their faces."""
    index, faces = _by_id(folder, "scenes"), _by_image(folder, "scene")
    nobody = np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32)
    for image_id, pixels in read_images(folder, "scenes", split):
        about = index[image_id]
        yield Scene(image_id, about["split"], pixels, *faces.get(image_id, nobody), about["condition"])


def read_crops(folder: Path, split: Split | None = None) -> Iterator[Crop]:
    """Give the crops of a split, or all."""
    index, faces = _by_id(folder, "crops"), _by_image(folder, "crop")
    for image_id, pixels in read_images(folder, "crops", split):
        about, (boxes, landmarks) = index[image_id], faces[image_id]
        yield Crop(image_id, about["split"], about["identity"], about["capture"], pixels, boxes[0], landmarks[0])


def _read(folder: Path, name: str) -> Any:  # noqa: ANN401 - an Arrow table; pyarrow has no types
    # One file, not a data set: the name of a folder must not become a column.
    columns = [column for column in SCHEMAS[name].names if column != "image"]
    return pq.ParquetFile(folder / f"{name}.parquet").read(columns=columns)


def _by_id(folder: Path, table: Table) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in _read(folder, table).to_pylist()}


def _by_image(folder: Path, source: str) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    manifest = read_manifest(folder)
    grouped = manifest[manifest["source"] == source].groupby("image_id", sort=False)
    return {
        str(image_id): (
            rows[list(BOX_COLUMNS)].to_numpy(np.float32),
            rows[list(LANDMARK_COLUMNS)].to_numpy(np.float32).reshape(-1, len(LANDMARKS), 2),
        )
        for image_id, rows in grouped
    }
