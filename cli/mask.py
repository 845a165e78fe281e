"""`masker mask`: what was asked for becomes a plan, the plan a run, the run an exit code."""

import contextlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.asked import Asked
from cli.batch import run
from cli.faults import NotInstalledError, UsageError
from cli.outcome import Exit, Outcome, State, exit_code
from cli.plan import STREAM, Plan, Task, check_places, plan
from cli.sweep import sweep
from cli.tell import Teller, emit

if TYPE_CHECKING:
    from cli.work import Result

MOST_JOBS = 4


def mask_files(asked: Asked) -> Exit:
    """Do what was asked for, and say how it ended.

    Raises:
        BadParameter: It cannot be done as asked; nothing was done.
    """
    from masking.errors import MaskingError, PolicyError
    from mlops.layers import InvalidSettings

    try:
        planned = _plan(asked)
        _check_streams(asked)
        reports = _report_places(asked, planned)
        _check_places(asked, planned, reports)
        return _run(asked, planned, reports)
    except (UsageError, PolicyError) as error:
        raise typer.BadParameter(str(error)) from error
    except (NotInstalledError, InvalidSettings, MaskingError) as error:
        typer.echo(f"masker: {error}", err=True)
        return Exit.ERROR


def _plan(asked: Asked) -> Plan:
    if asked.force and asked.skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    if asked.out is None and not asked.dry_run:
        raise UsageError("say where the results go with --out (-o), or look only with --dry-run")
    return plan(
        asked.sources,
        asked.out,
        into=asked.into,
        dry=asked.dry_run,
        force=asked.force,
        skip_existing=asked.skip_existing,
    )


def _check_streams(asked: Asked) -> None:
    """Raise unless standard output has one use at most."""
    uses = [
        name
        for name, used in {
            "--out -": asked.out == STREAM,
            "--json": asked.as_json,
            "--report -": asked.report == STREAM,
            "--boxes -": asked.boxes == STREAM,
        }.items()
        if used
    ]
    if len(uses) > 1:
        raise UsageError(f"{' and '.join(uses)} would both write to standard output")


def _report_places(asked: Asked, planned: Plan) -> dict[Task, Path]:
    """Say where the report of each file goes: below a folder as the file below OUT, with .json at the end."""
    place = asked.report
    if place is None or place == STREAM or asked.dry_run:
        return {}
    one_file = len(asked.sources) == 1 and not asked.sources[0].is_dir() and not place.is_dir()
    if one_file and place.suffix.lower() == ".json":
        return {task: place for task in planned.tasks}
    return {task: place / f"{'stdin' if task.source == STREAM else task.name}.json" for task in planned.tasks}


def _check_places(asked: Asked, planned: Plan, reports: Mapping[Task, Path]) -> None:
    """Raise unless whatever is written has a place of its own, which is free, and from which nothing is read."""
    from cli.regions import check_suffix

    places = [(place, f"the report of {task.source}") for task, place in reports.items()]
    if asked.boxes is not None and asked.boxes != STREAM:
        check_suffix(asked.boxes)
        places.append((asked.boxes, "the region list"))
    results = [(task.target, str(task.source)) for task in planned.tasks if task.target is not None]
    sources = [task.source for task in (*planned.tasks, *planned.kept)]
    lists = [path for path in (asked.regions, asked.key_file) if path is not None]
    check_places([*results, *places], [*sources, *lists])
    for path, _ in places:
        if path.is_dir() or (os.path.lexists(path) and not asked.force):
            raise UsageError(f"{path} exists already; --force replaces it")


def _run(asked: Asked, planned: Plan, reports: dict[Task, Path]) -> Exit:
    from cli.engine import cores, start_engine
    from cli.wishes import read_wishes
    from cli.work import Result, Worker
    from masking.face.maskers import masker_of

    wishes = read_wishes(asked, planned)
    jobs = min(asked.jobs or min(cores(), MOST_JOBS), max(1, len(planned.tasks)))
    files = len(planned.tasks) + len(planned.kept) + len(planned.closed)
    teller = Teller(files, as_json=asked.as_json, quiet=asked.quiet)
    states = _tell_passed(planned, teller)
    if not planned.tasks:
        return exit_code(states)
    _sweep(planned, reports, teller)
    stop = threading.Event()
    engine = start_engine(threads=max(1, cores() // jobs))
    if _has_pictures(planned):
        masker_of(wishes.photos.style, engine.model.maskers)
    worker = Worker(
        engine=engine,
        wishes=wishes,
        force=asked.force,
        dry=asked.dry_run,
        wants_faces=asked.boxes is not None,
        stop=stop,
        progress=teller.progress,
    )
    results: dict[int, Result] = {}
    with contextlib.closing(run(planned.tasks, worker, worker.failed, jobs, stop)) as ended:
        for number, done in ended:
            outcome = _with_report(done, asked, reports)
            teller.ended(outcome)
            states.append(outcome.state)
            results[number] = done
    if asked.boxes is not None:
        _write_boxes([results[number] for number in sorted(results)], asked.boxes, asked)
    return exit_code(states)


def _has_pictures(planned: Plan) -> bool:
    """Tell whether faces are to be looked for in any file; what standard input holds is not known yet."""
    from cli.kinds import Kind, given

    for task in planned.tasks:
        with contextlib.suppress(OSError):
            if task.source != STREAM and given(task.source).kind is not Kind.SOUND:
                return True
    return False


def _tell_passed(planned: Plan, teller: Teller) -> list[State]:
    """Tell what is not worked on; what may not be read is a fault."""
    if planned.passed:
        teller.say(f"passed over {planned.passed} hidden files and files that are no media")
    for loop in planned.loops:
        teller.say(f"passed over {loop}: it leads back to a folder above it")
    for task in planned.kept:
        teller.ended(Outcome(str(task.source), State.SKIPPED, str(task.target)))
    for closed in planned.closed:
        teller.ended(Outcome(str(closed), State.FAILED, error="this may not be read, or leads to itself"))
    if not planned.tasks and not planned.kept:
        teller.say("there is nothing to mask")
    return [State.FAILED] * len(planned.closed)


def _sweep(planned: Plan, reports: dict[Task, Path], teller: Teller) -> None:
    """Remove what a run that was killed left in the folders that this one writes to."""
    targets = [task.target for task in planned.tasks if task.target not in (None, STREAM)]
    removed = sweep(place.parent for place in (*targets, *reports.values()) if place is not None)
    if removed:
        teller.say(f"removed {removed} {'file' if removed == 1 else 'files'} that an earlier run left unfinished")


def _with_report(done: "Result", asked: Asked, reports: dict[Task, Path]) -> Outcome:
    """Write the report of a masked file; where it cannot be written, the file counts as failed."""
    from cli.place import put
    from masking.errors import StorageError

    if done.report is None or asked.report is None:
        return done.outcome
    values = done.report.as_dict()
    if asked.report == STREAM:
        emit({"file": done.outcome.file, "report": values})
        return done.outcome
    try:
        put((json.dumps(values, indent=2) + "\n").encode(), reports[done.task], force=asked.force)
    except StorageError as error:
        return replace(done.outcome, state=State.FAILED, error=f"masked, but its report is missing: {error}")
    return done.outcome


def _write_boxes(results: Sequence["Result"], place: Path, asked: Asked) -> None:
    from cli.place import put
    from cli.regions import write_regions

    faces = {result.task.name: result.faces for result in results if result.faces is not None}
    several = len(asked.sources) > 1 or asked.sources[0].is_dir()
    text = write_regions(faces, as_json=place.suffix.lower() == ".json", several=several)
    if place == STREAM:
        typer.echo(text, nl=False)
    else:
        put(text.encode("utf-8", "surrogateescape"), place, force=asked.force)
