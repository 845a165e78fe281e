"""The user's own photos: JPEG, PNG and WebP files of a folder, the first level of folders naming people.

Names of people and files stay on the user's disk: the tables hold keyed hashes of them. Boxes come from `boxes.json` in
the folder, ``{"a/1.jpg": {"size": [w, h], "boxes": [[x1, y1, x2, y2], …]}}`` in px of the upright photo, for the photos
that it names, and from a detector for all others.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError

from masking.errors import MediaError
from masking.media.image import decode, views
from masking.media.probe import ImageLimits, probe
from masking.types import Faces
from pipelines.dataset import Face, Picture, Split, picture

Detect = Callable[[NDArray[np.uint8]], Faces]

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
LABELS: Final = "boxes.json"
LONGEST_PX: Final = 1280
CROP_IN_FACES: Final = 2.0
_ENLARGED_AT_MOST: Final = 2.0
_SAME_FACE_IOU: Final = 0.4
_LIMITS: Final = ImageLimits(bytes=2**28, pixels=200_000_000, side=30_000)


class PhotosError(Exception):
    """The folder, as a whole, cannot be used."""


class Labelled(BaseModel):
    """What `boxes.json` says of one photo."""

    size: tuple[float, float]
    boxes: list[tuple[float, float, float, float]]


Labels = dict[str, Labelled]


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to read: its path inside the folder with forward slashes, whose folder it lies in, and its split."""

    path: Path
    name: str
    person: str | None
    split: Split


@dataclass(frozen=True, slots=True)
class Reading:
    """How photos are read: the labels, what finds faces, the key of all hashes, and the side of a crop in px."""

    labels: Labels
    detect: Detect
    key: bytes
    crop_px: int


def find_photos(folder: Path, split_of: Callable[[int], list[Split]]) -> list[Photo]:
    """List the photos of a folder and split them: by person where they lie in two folders or more, else one by one.

    Args:
        folder: Where the photos lie.
        split_of: Draws a split for each of so many people or photos.

    Raises:
        PhotosError: There is no photo.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise PhotosError(f"{folder} holds no photo: put JPEG, PNG or WebP files there, best as PERSON/*.jpg")
    names = [path.relative_to(folder) for path in paths]
    people = sorted({name.parts[0] for name in names if len(name.parts) > 1})
    if len(people) < 2:  # a single folder names a place, not a person
        people = []
    of_people = dict(zip(people, split_of(len(people)), strict=True))
    loose = iter(split_of(sum(name.parts[0] not in of_people for name in names)))
    return [
        Photo(path, name.as_posix(), name.parts[0], of_people[name.parts[0]])
        if name.parts[0] in of_people
        else Photo(path, name.as_posix(), None, next(loose))
        for path, name in zip(paths, names, strict=True)
    ]


def read_labels(folder: Path) -> Labels:
    """Read `boxes.json`; nothing where there is none.

    Raises:
        PhotosError: It is not of the form that the head of this module shows.
    """
    path = folder / LABELS
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(Labels).validate_python(json.loads(path.read_bytes()))
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PhotosError(f"{path} cannot be used: {error}") from error


def read_photos(photos: Sequence[Photo], reading: Reading, skipped: list[str]) -> Iterator[list[Picture]]:
    """Give for each photo what is stored of it: a scene, and a crop where it shows a person with a folder.

    The person is the largest face. What cannot be read gives nothing, and ``skipped`` gets its name and the reason.
    """
    captures: defaultdict[str, int] = defaultdict(int)
    for photo in photos:
        try:
            pixels = _pixels(photo.path)
            faces = _faces(photo, pixels, reading)
        except (MediaError, OSError, _LabelsDoNotFit) as error:
            skipped.append(f"{photo.name}: {error}")
            yield []
            continue
        ident = hashed(reading.key, "photo", photo.name)
        yield list(_stored(photo, ident, pixels, faces, captures, reading))


def hashed(key: bytes, kind: str, name: str) -> str:
    """Hide a name behind a keyed hash (BLAKE2b, RFC 7693): the same for the same key, untraceable without it."""
    return hashlib.blake2b(name.encode(), key=key, person=kind.encode(), digest_size=8).hexdigest()


class _LabelsDoNotFit(Exception):
    """The labels of a photo are not for the photo that lies there."""


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Upright RGB pixels, at most ``LONGEST_PX`` long."""
    data = path.read_bytes()
    pixels = views(decode(data, probe(data, _LIMITS)).pixels)[0]
    scale = LONGEST_PX / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _faces(photo: Photo, pixels: NDArray[np.uint8], reading: Reading) -> list[Face]:
    found = reading.detect(pixels)
    labelled = reading.labels.get(photo.name, reading.labels.get(photo.path.name))
    height, width = pixels.shape[:2]
    if labelled is None:
        faces = [Face(b, p, "detected") for b, p in zip(found.boxes, found.landmarks, strict=True)]
    else:
        across, down = (real / told for real, told in zip((width, height), labelled.size, strict=True))
        if abs(across / down - 1.0) > 0.02:
            raise _LabelsDoNotFit(f"{LABELS} gives it a size of another shape")
        scale = np.array([across, down, across, down])
        boxes = [(np.array(box) * scale).astype(np.float32) for box in labelled.boxes]
        faces = [Face(box, _landmarks(box, found), "labelled") for box in boxes]
    ends = np.array([width, height, width, height], np.float32)
    inside = [Face(np.clip(face.box, 0.0, ends), face.landmarks, face.box_source) for face in faces]
    return [face for face in inside if min(face.box[2:] - face.box[:2]) >= 1.0]


def _landmarks(box: NDArray[np.float32], found: Faces) -> NDArray[np.float32] | None:
    """Landmarks of the detected face that lies where a label does."""
    if not len(found):
        return None
    low, high = np.maximum(box[:2], found.boxes[:, :2]), np.minimum(box[2:], found.boxes[:, 2:])
    shared = np.clip(high - low, 0.0, None).prod(1)
    iou = shared / ((box[2:] - box[:2]).prod() + (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1) - shared)
    return found.landmarks[int(iou.argmax())] if iou.max() >= _SAME_FACE_IOU else None


def _stored(
    photo: Photo,
    ident: str,
    pixels: NDArray[np.uint8],
    faces: list[Face],
    captures: defaultdict[str, int],
    reading: Reading,
) -> Iterator[Picture]:
    if photo.person is not None and faces:
        person = hashed(reading.key, "person", photo.person)
        largest = max(range(len(faces)), key=lambda i: float((faces[i].box[2:] - faces[i].box[:2]).prod()))
        face = faces[largest]
        face = Face(face.box, face.landmarks, face.box_source, person, captures[person])
        faces[largest] = face
        captures[person] += 1
        cropped = _crop(pixels, face, reading.crop_px)
        if cropped is not None:
            yield picture("crops", f"crop-{ident}", photo.split, *cropped)
    yield picture("scenes", f"photo-{ident}", photo.split, pixels, tuple(faces))


def _crop(pixels: NDArray[np.uint8], face: Face, side_px: int) -> tuple[NDArray[np.uint8], tuple[Face]] | None:
    """A square around a face, twice its size; None where attackers could not align it or it would be mostly blur."""
    side = CROP_IN_FACES * float(max(face.box[2:] - face.box[:2]))
    if face.landmarks is None or side * _ENLARGED_AT_MOST < side_px:
        return None
    centre = 0.5 * (face.box[:2] + face.box[2:])
    left, top = (round(float(v) - 0.5 * side) for v in centre)
    length, (height, width) = round(side), pixels.shape[:2]
    margin = max(0, -left, -top, left + length - width, top + length - height)
    wide = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    cut = wide[top + margin : top + margin + length, left + margin : left + margin + length]
    scale, corner = side_px / length, np.array([left, top], np.float32)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(cut, (side_px, side_px), interpolation=method), np.uint8)
    box = np.clip((face.box - np.tile(corner, 2)) * np.float32(scale), 0, side_px).astype(np.float32)
    points = ((face.landmarks - corner) * np.float32(scale)).astype(np.float32)
    return small, (Face(box, points, face.box_source, face.identity, face.capture),)
