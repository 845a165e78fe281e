"""One file: read, masked, written, with its outcome whatever happens."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cli.batch import Watch
from cli.engine import Engine
from cli.outcome import Outcome, State
from cli.place import open_up, put
from cli.plan import STREAM, Task
from cli.regions import gather
from cli.wishes import Wishes
from masking.errors import MaskingError, UnsupportedMedia, Withheld
from masking.media.probe import probe
from masking.media.video import probe_video, sniff_video
from masking.pipeline import detect_image, mask_image
from masking.report import MaskReport
from masking.selection import Selection, of_faces
from masking.video import detect_video, mask_video

_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a file, its report if it was masked, and its faces if they were asked for."""

    task: Task
    outcome: Outcome
    report: MaskReport | None = None
    faces: Selection | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """Masks files as wished.

    Attributes:
        engine: Finds the faces.
        wishes: How to mask.
        force: Existing outputs may be replaced.
        dry: Nothing is masked; faces are looked for only.
        wants_faces: The faces themselves are asked for, not their number alone.
        stop: Set when the run ends.
        progress: Told of a file's name, the frames done and their number if known.
    """

    engine: Engine
    wishes: Wishes
    force: bool
    dry: bool
    wants_faces: bool
    stop: threading.Event
    progress: Callable[[str, int, int | None], None]

    def __call__(self, task: Task) -> Result:
        """Do one file. Faults of the file, the disk and the model are told in the outcome."""
        start = time.perf_counter()
        try:
            result = self._done(task)
        except Withheld as error:
            result = Result(task, self._failure(task, State.WITHHELD, str(error)))
        except (MaskingError, OSError) as error:
            result = Result(task, self._failure(task, State.FAILED, f"{type(error).__name__}: {_text(error)}"))
        return replace(result, outcome=replace(result.outcome, seconds=round(time.perf_counter() - start, 3)))

    def failed(self, task: Task, fault: str) -> Result:
        """Give the result of a file that a fault of the program stopped."""
        return Result(task, self._failure(task, State.FAILED, fault))

    def _done(self, task: Task) -> Result:
        watch = Watch(self.stop, lambda done, total: self.progress(task.name, done, total))
        watch.started("read")
        if task.source != STREAM and sniff_video(_head(task.source)):
            return self._video(task, watch)
        return self._photo(task, watch)

    def _photo(self, task: Task, watch: Watch) -> Result:
        engine, policy = self.engine, self.wishes.photo(task.name)
        data = _read(task.source, engine.images.bytes)
        kind = probe(data, engine.images).kind.media_type
        faces = None
        if self.dry or self.wants_faces:
            found = detect_image(data, policy, engine.model.detector, engine.images, watch)
            faces = of_faces(found.faces)
            if self.dry:
                return Result(task, Outcome(str(task.source), State.FOUND, None, kind, len(found.faces)), None, faces)
        masked = mask_image(data, policy, engine.model.detector, engine.images, watch, engine.model.maskers)
        watch.started("write")
        if task.target == STREAM:
            sys.stdout.buffer.write(masked.data)
            sys.stdout.buffer.flush()
        elif task.target is not None:
            put(masked.data, task.target, force=self.force)
        return self._masked(task, masked.report, faces)

    def _video(self, task: Task, watch: Watch) -> Result:
        engine, policy = self.engine, self.wishes.video(task.name)
        if not self.dry and (task.target is None or task.target == STREAM):
            raise UnsupportedMedia("a video is masked into a file, not to standard output")
        faces = None
        if self.dry or self.wants_faces:
            faces = gather(detect_video(task.source, policy, engine.model.detector, engine.videos, watch))
        if self.dry or task.target is None:
            kind = probe_video(task.source, engine.videos).media_type
            tracks = {row.track for row in faces.rows} if faces else set()
            return Result(task, Outcome(str(task.source), State.FOUND, None, kind, len(tracks)), None, faces)
        task.target.parent.mkdir(parents=True, exist_ok=True)
        model = engine.model
        report = mask_video(task.source, task.target, policy, model.detector, engine.videos, watch, model.maskers)
        open_up(task.target)
        return self._masked(task, report, faces)

    def _masked(self, task: Task, report: MaskReport, faces: Selection | None) -> Result:
        report = report.by(self.engine.model)
        outcome = Outcome(
            file=str(task.source),
            state=State.NEEDS_REVIEW if report.needs_review else State.MASKED,
            output=str(task.target),
            kind=report.kind,
            faces=report.faces,
            notes=report.notes,
        )
        return Result(task, outcome, report, faces)

    def _failure(self, task: Task, state: State, text: str) -> Outcome:
        if task.target is not None and task.target != STREAM and task.target.exists():
            # With --force somebody could take the file of an earlier run for the result of this one.
            text = f"{text} ({task.target} is of an earlier run)"
        return Outcome(str(task.source), state, error=text)


def _read(source: Path, most: int) -> bytes:
    """Read a file, or standard input; one byte more than may be, so that the probe sees that it is too large."""
    if source == STREAM:
        return sys.stdin.buffer.read(most + 1)
    with source.open("rb") as stream:
        return stream.read(most + 1)


def _head(source: Path) -> bytes:
    with source.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _text(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else str(error)
