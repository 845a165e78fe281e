"""Tables of faces as `ingest` writes them, small and sound, for tests to plant faults in."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pipelines import dataset, validate

SIDE = 48
PARAMS = """
validation: {min_identities_per_split: 2, min_captures: 2, min_scenes: 4}
register: {gate: [{metric: recall, at_least: 0.5}]}
voice_register: {gate: [{metric: valid, at_least: 1}]}
"""
Tables = dict[str, list[dict[str, Any]]]


def encode(pixels: NDArray[np.uint8]) -> bytes:
    return dataset.picture("scenes", "", "train", pixels, ()).image


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def picture(seed: int, width: int = SIDE, height: int = SIDE) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return encode(coarse.repeat(8, 0).repeat(8, 1))


def face(image: Mapping[str, Any], number: int, source: str, **more: object) -> dict[str, Any]:
    landmarks = dict.fromkeys(dataset.LANDMARK_COLUMNS, 20.0)
    box = {"x1": 4.0, "y1": 4.0, "x2": 40.0, "y2": 44.0}
    return {
        "face_id": f"{image['image_id']}-{number}",
        "image_id": image["image_id"],
        "source": source,
        "identity": None,
        "capture": 0,
        "split": image["split"],
        "image_width": image["width"],
        "image_height": image["height"],
        "box_source": "exact",
        "image_sha256": digest(image["image"]),
        "tone": "light",
        "light": "dim",
        "yaw": 12.5,
        **box,
        **landmarks,
        **more,
    }


def tables() -> Tables:
    """Four people with two crops each, and four scenes of 0, 1, 2 and 1 faces; half of them in either split."""
    crops, scenes, faces = [], [], []
    for person in range(4):
        for capture in range(2):
            data, who = picture(10 * person + capture), {"identity": f"p{person}", "capture": capture}
            row = {"image_id": f"crop-{person}{capture}", "split": "train" if person < 2 else "test", "image": data}
            crops.append(row | {"width": SIDE, "height": SIDE} | who)
            faces.append(face(crops[-1], 0, "crop", **who))
    for scene, count in enumerate((0, 1, 2, 1)):
        row = {
            "image_id": f"scene-{scene}",
            "split": "train" if scene < 2 else "test",
            "image": picture(100 + scene, 96),
        }
        scenes.append(row | {"width": 96, "height": SIDE, "n_faces": count, "condition": "plain"})
        faces += [face(scenes[-1], number, "scene") for number in range(count)]
    return {"manifest": faces, "crops": crops, "scenes": scenes}


def swap_image(rows: Tables, table: str, position: int, data: bytes) -> None:
    image = rows[table][position]
    image["image"] = data
    for row in rows["manifest"]:
        if row["image_id"] == image["image_id"]:
            row["image_sha256"] = digest(data)


def write(rows: Tables) -> None:
    validate.INGESTED.mkdir(parents=True, exist_ok=True)
    for name, schema in dataset.SCHEMAS.items():
        pq.write_table(pa.Table.from_pylist(rows[name], schema), validate.INGESTED / f"{name}.parquet")


def run(rows: Tables, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    write(rows)
    code = validate.main()
    return code, capsys.readouterr().err


def cast(table: pa.Table, column: str, kind: pa.DataType) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, table[column].cast(kind))


def box_outside(rows: Tables) -> None:
    rows["manifest"][1]["x2"] = 130.0
    rows["manifest"][9]["y1"] = -1.5
