"""From what was asked for to the files to work on, with every fault of the asking found before any work is done."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.faults import UsageError
from cli.walk import Walked, walk

STREAM: Final = Path("-")
"""Stands for standard input or output."""

_FAMILIES: Final = (
    {".jpg", ".jpeg", ".jpe", ".jfif"},
    {".png"},
    {".webp"},
    {".mp4", ".m4v"},
    {".mov"},
    {".mkv"},
    {".webm"},
    {".wav", ".wave"},
    {".flac"},
    {".mp3"},
    {".m4a", ".m4b"},
    {".aac"},
    {".ogg", ".oga", ".opus"},
    {".mka"},
    {".weba"},
)
_TOLD = 3


@dataclass(frozen=True, slots=True)
class Task:
    """One file to mask.

    Attributes:
        source: The input; `STREAM` for standard input.
        name: Its path below the folder that it was found in: its place below OUT, and its name in region lists.
        target: The output; None where nothing is to be written, `STREAM` for standard output.
    """

    source: Path
    name: str
    target: Path | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run will do.

    Attributes:
        tasks: Files to work on.
        kept: Files whose output exists and is left as it is.
        passed: How many other files lie in the folders: hidden ones, and what is no media.
        loops: Links that lead back to a folder above them.
        closed: Folders and links that may not be read, or lead to themselves.
    """

    tasks: tuple[Task, ...]
    kept: tuple[Task, ...]
    passed: int
    loops: tuple[Path, ...]
    closed: tuple[Path, ...]


def plan(
    sources: Sequence[Path],
    out: Path | None,
    *,
    into: bool = False,
    dry: bool = False,
    force: bool = False,
    skip_existing: bool = False,
) -> Plan:
    """Say what is to be done.

    One file goes to OUT, or into OUT where that is a folder. Of one folder, the tree goes into OUT; of several inputs,
    each folder keeps its name there.

    Args:
        sources: Files and folders; `STREAM` alone for standard input.
        out: File or folder for the results, which is passed over where it lies in an input; None if there is none.
        into: OUT is a folder, whether it is there yet or not.
        dry: Nothing is to be written.
        force: Existing outputs may be replaced.
        skip_existing: Existing outputs are left, and their inputs not worked on.

    Raises:
        UsageError: An input is not there, a target is an input, two inputs have one target, or a target exists.
    """
    if STREAM in sources or out == STREAM:
        return _streamed(sources, None if dry else out, force=force)
    for source in sources:
        if not source.exists():
            raise UsageError(f"{source} is not there")
    single = len(sources) == 1 and sources[0].is_file()
    if out is not None and not single and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, and a folder is needed for the results of more than one file")
    into = out is not None and (into or not single or out.is_dir())
    found, walked = _find(sources, out if into else None)
    if dry:
        out = None
    tasks = [Task(source, name, out / name if into and out else out) for source, name in found]
    if single and out is not None and not into:
        _check_family(tasks[0])
    check_places(_targets(tasks), (task.source for task in tasks))
    there = [task for task in tasks if task.target is not None and os.path.lexists(task.target)]
    if there and not (force or skip_existing):
        raise UsageError(f"{_some(there)}: exists already; --force masks anew, --skip-existing leaves what is there")
    kept = set(there if skip_existing and not force else ())
    return Plan(
        tuple(task for task in tasks if task not in kept),
        tuple(task for task in tasks if task in kept),
        walked.passed,
        tuple(walked.loops),
        tuple(walked.closed),
    )


def _streamed(sources: Sequence[Path], out: Path | None, *, force: bool) -> Plan:
    if len(sources) != 1 or sources[0].is_dir():
        raise UsageError("'-' stands for one picture or sound: give one input and one output")
    (source,) = sources
    if source != STREAM and not source.exists():
        raise UsageError(f"{source} is not there")
    if out is not None and out != STREAM and (out.is_dir() or (os.path.lexists(out) and not force)):
        raise UsageError(f"{out} exists already; with standard input, OUT must be the name of a new file")
    task = Task(source, source.name, out)
    check_places(_targets([task]), sources)
    return Plan((task,), (), 0, (), ())


def check_places(places: Iterable[tuple[Path, str]], inputs: Iterable[Path]) -> None:
    """See to it that whatever is written has a place of its own, and none that is read from.

    Args:
        places: Where something is to be written, and what, in words; `STREAM` is no place.
        inputs: What is read; `STREAM` for the file, if it is one, that standard input comes from.

    Raises:
        UsageError: A place is an input, or is taken twice.
    """
    read = {_identity(path) for path in inputs} - {None}
    taken: dict[Path, str] = {}
    for path, what in places:
        if path == STREAM:
            continue
        if _identity(path) in read:
            raise UsageError(f"{path} is an input: nothing is written over what is read")
        place = Path(os.path.realpath(path.parent), path.name)
        if place in taken:
            raise UsageError(f"{taken[place]} and {what} would both become {path}")
        taken[place] = what


def _find(sources: Sequence[Path], out: Path | None) -> tuple[list[tuple[Path, str]], Walked]:
    """Give each file with its name below OUT."""
    found: list[tuple[Path, str]] = []
    total = Walked()
    for source in sources:
        if not source.is_dir():
            found.append((source, source.name))
            continue
        walked = walk(source, out)
        above = source if len(sources) == 1 else source.resolve().parent
        base = source if len(sources) == 1 else source.resolve()
        found += [(file, str((base / file.relative_to(source)).relative_to(above))) for file in walked.files]
        total.passed += walked.passed
        total.loops += walked.loops
        total.closed += walked.closed
    return found, total


def _check_family(task: Task) -> None:
    target = task.target or task.source
    ours, theirs = (
        next((each for each in _FAMILIES if path.suffix.lower() in each), None) for path in (task.source, target)
    )
    if ours and theirs and ours is not theirs:
        raise UsageError(
            f"{target} would hold what {task.source.suffix} files hold: a file goes out as the kind it came in"
        )


def _targets(tasks: Iterable[Task]) -> Iterator[tuple[Path, str]]:
    return ((task.target, str(task.source)) for task in tasks if task.target is not None)


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell which file it is, by whatever name; None where there is none."""
    with contextlib.suppress(OSError):
        status = os.fstat(0) if path == STREAM else path.stat()
        return status.st_dev, status.st_ino
    return None


def _some(tasks: Sequence[Task]) -> str:
    told = ", ".join(str(task.target) for task in tasks[:_TOLD])
    return f"{told} and {len(tasks) - _TOLD} more" if len(tasks) > _TOLD else told
