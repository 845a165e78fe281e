"""Stage `ingest`: procedural faces, or a folder of the user's own photos, become the tables of pipelines/dataset.py.

People are split before anything is drawn or read, so that nobody is in both splits.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from masking.errors import MaskingError
from masking.face import tiles
from masking.face.detectors.centerface import CenterFace
from masking.face.procedural import Capture, Identity, mosaic, portrait
from masking.onnx import open_session
from mlops.predictions.keys import key_for
from pipelines.dataset import Face, Picture, Split, Writer, picture
from pipelines.helpers import end_with_parent
from pipelines.params import Ingest, load_params
from pipelines.photos import Detect, PhotosError, Reading, find_photos, read_labels, read_photos

BASE = Path("data/base-model/fp32.onnx")
OUT = Path("data/ingested")
KEY = Path("var/ingest.key")
# A detected box becomes a label here, so it must be surer than one that only has to be masked.
LABEL_THRESHOLD = 0.5
# Fewer pictures than this are drawn sooner than a second process has started.
_WORTH_A_POOL = 40
_PEOPLE, _CROPS, _SCENES, _SPLITS = range(4)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: pictures, faces, people, and why which files were left out."""

    crops: int
    scenes: int
    faces: int
    people: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    split: Split
    identity: Identity


def ingest(params: Ingest, out: Path, *, detect: Detect | None = None, key: bytes = b"", workers: int = 2) -> Summary:
    """Write the data that ``params`` describe to ``out``, made anew.

    Args:
        params: Section `ingest` of params.yaml.
        out: Folder of the tables.
        detect: What finds the faces of photos; needed for a folder.
        key: Secret under which names of folders and files become ids; needed for a folder.
        workers: Processes that draw; their number changes nothing in the data.

    Raises:
        PhotosError: The folder holds no photo that can be read, or its labels cannot be used.
        ValueError: A folder is to be read without ``detect`` or ``key``.
    """
    skipped: list[str] = []
    if params.source == "synthetic":
        pictures = _synthetic(params, workers)
    elif detect is None or not key:
        raise ValueError("a folder of photos needs a detector and a key")
    else:
        pictures = _photos(params, detect, key, skipped, workers)
    counts = {"crops": 0, "scenes": 0}
    faces, people = 0, set()
    with Writer(out) as writer:
        for each in pictures:
            writer.add(each)
            counts[each.table] += 1
            faces += len(each.faces)
            people |= {face.identity for face in each.faces if face.identity}
        if not counts["scenes"]:
            raise PhotosError(f"no photo of {params.folder} can be read, such as {skipped[0]}")
    return Summary(counts["crops"], counts["scenes"], faces, len(people), tuple(skipped))


def split_of(count: int, test_share: float, rng: np.random.Generator) -> list[Split]:
    """Draw a split for each of ``count`` people or pictures; both splits get some where there are two or more."""
    tests = min(max(round(count * test_share), 1), count - 1) if count > 1 else count
    drawn = set(rng.permutation(count)[:tests].tolist())
    return ["test" if index in drawn else "train" for index in range(count)]


def _synthetic(params: Ingest, workers: int) -> Iterator[Picture]:
    """Crops and scenes of people who do not exist."""
    people = _people(params)
    splits = split_of(params.scenes, params.test_share, np.random.default_rng([params.seed, _SPLITS, 1]))
    scenes = [
        (params, index, split, [person for person in people if person.split == split])
        for index, split in enumerate(splits)
    ]
    many = len(people) * params.captures + len(scenes) >= _WORTH_A_POOL
    with ExitStack() as stack:
        run = _runner(stack, workers if many else 1)
        yield from _portraits(params, people, run)
        yield from _told("scenes", run(_scene, scenes), len(scenes))


def _people(params: Ingest) -> list[_Person]:
    rng = np.random.default_rng([params.seed, _PEOPLE])
    splits = split_of(params.identities, params.test_share, np.random.default_rng([params.seed, _SPLITS]))
    return [_Person(f"p{i:04d}", split, Identity.draw(rng)) for i, split in enumerate(splits)]


def _runner(stack: ExitStack, workers: int) -> Callable[..., Iterator[Any]]:
    """What maps a function over tasks: a pool of processes, or this one."""
    if workers < 2:
        return map
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin)
    return stack.enter_context(pool).map


def _begin() -> None:
    """Begin a process that draws."""
    cv2.setNumThreads(1)
    end_with_parent()


def _portraits(params: Ingest, people: Sequence[_Person], run: Callable[..., Iterator[Any]]) -> Iterator[Picture]:
    tasks = [(params, index, person) for index, person in enumerate(people)]
    yield from _told("crops", chain.from_iterable(run(_crops, tasks)), len(people) * params.captures)


def _crops(task: tuple[Ingest, int, _Person]) -> list[Picture]:
    """All captures of one person."""
    params, index, person = task
    rng = np.random.default_rng([params.seed, _CROPS, index])
    pictures = []
    for capture in range(params.captures):
        how = Capture.draw(rng)
        shown = portrait(person.identity, how, params.crop_px)
        face = Face(
            shown.box,
            shown.landmarks,
            "exact",
            person.name,
            capture,
            person.identity.tone,
            how.light,
            how.yaw,
        )
        image_id = f"crop-{person.name}-{capture:02d}"
        pictures.append(picture("crops", image_id, person.split, shown.pixels, (face,)))
    return pictures


def _scene(task: tuple[Ingest, int, Split, Sequence[_Person]]) -> Picture:
    """One scene with people of one split."""
    params, index, split, people = task
    rng = np.random.default_rng([params.seed, _SCENES, index])
    drawn = mosaic(rng, [person.identity for person in people], params.scene_px)
    faces = tuple(
        Face(
            placed.box,
            placed.landmarks,
            "exact",
            people[placed.person].name,
            params.captures + index,
            people[placed.person].identity.tone,
            placed.capture.light,
            placed.capture.yaw,
        )
        for placed in drawn.faces
    )
    return picture("scenes", f"scene-{index:05d}", split, drawn.pixels, faces, drawn.condition)


def _photos(params: Ingest, detect: Detect, key: bytes, skipped: list[str], workers: int) -> Iterator[Picture]:
    """What is stored of the user's own photos; among few people nobody can be mistaken, so others stand in for them."""
    rng = np.random.default_rng([params.seed, _SPLITS])
    photos = find_photos(params.folder, lambda count: split_of(count, params.test_share, rng))
    enough = len({photo.person for photo in photos if photo.person}) >= params.own_people
    reading = Reading(read_labels(params.folder), detect, key, params.crop_px)
    for pictures in _told("photos", read_photos(photos, reading, skipped), len(photos)):
        yield from (each for each in pictures if enough or each.table == "scenes")
    if not enough:
        sys.stderr.write(
            f"ingest: fewer than {params.own_people} people are known: privacy is judged on procedural ones\n"
        )
        with ExitStack() as stack:
            yield from _portraits(params, _people(params), _runner(stack, workers))


def _told(what: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Pass items on, with a line of progress about every tenth."""
    step = max(1, math.ceil(total / 10))
    for count, item in enumerate(items, 1):
        yield item
        if count % step == 0 or count == total:
            sys.stderr.write(f"ingest: {count} of {total} {what}\n")


def secret_key(path: Path = KEY) -> bytes:
    """Read the key of this machine, made on first use: without it, nobody can try names against the ids."""
    return key_for(path.stem, None, path.parent)


def _detector() -> Detect:
    """The base model, sure enough for labels."""
    detector = CenterFace(open_session(BASE, threads=2))
    return lambda pixels: tiles.detect(pixels, detector, LABEL_THRESHOLD)


def main() -> None:
    """Write data/ingested as params.yaml says."""
    params = load_params().ingest
    own = params.source == "folder"
    try:
        made = ingest(params, OUT, detect=_detector() if own else None, key=secret_key() if own else b"")
    except (PhotosError, MaskingError) as error:
        sys.exit(f"ingest: {error}")
    lines = [
        f"ingest: {made.crops} crops and {made.scenes} scenes with {made.faces} faces of {made.people} known people"
    ]
    if made.skipped:
        lines += [f"ingest: {len(made.skipped)} files were left out:", *(f"  {reason}" for reason in made.skipped)]
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
