"""One file: read, masked, written, with its outcome whatever happens."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from cli.batch import Watch
from cli.engine import Engine
from cli.faults import NotInstalledError
from cli.kinds import Given, Kind, given
from cli.outcome import Outcome, State
from cli.place import open_up, put
from cli.plan import STREAM, Task
from cli.regions import gather
from cli.wishes import Wishes
from masking.audio import mask_audio, mask_audio_bytes
from masking.audio_speech import find_speech, find_video_speech
from masking.errors import MaskingError, UnsupportedMedia, Withheld
from masking.media.probe import probe
from masking.media.video import probe_video
from masking.pipeline import detect_image, mask_image
from masking.policy import VideoPolicy
from masking.report import MaskReport
from masking.selection import Selection, of_faces
from masking.video import detect_video, mask_video
from masking.voice.loading import VoiceModel
from masking.voice.report import VoiceReport


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a file, its report if it was masked, and its faces if they were asked for."""

    task: Task
    outcome: Outcome
    report: MaskReport | VoiceReport | None = None
    faces: Selection | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """Masks files as wished.

    Attributes:
        engine: Finds the faces, and masks the voices.
        wishes: How to mask.
        force: Existing outputs may be replaced.
        dry: Nothing is masked; faces and speech are looked for only.
        wants_faces: The faces themselves are asked for, not their number alone.
        stop: Set when the run ends.
        progress: Told of a file's name, how much is done, how much there is if known, and in which unit.
    """

    engine: Engine
    wishes: Wishes
    force: bool
    dry: bool
    wants_faces: bool
    stop: threading.Event
    progress: Callable[[str, int, int | None, str], None]

    def __call__(self, task: Task) -> Result:
        """Do one file. Faults of the file, the disk and the model are told in the outcome."""
        start = time.perf_counter()
        try:
            result = self._done(task)
        except Withheld as error:
            result = Result(task, self._failure(task, State.WITHHELD, str(error)))
        except NotInstalledError as error:
            result = Result(task, self._failure(task, State.FAILED, str(error)))
        except (MaskingError, OSError) as error:
            result = Result(task, self._failure(task, State.FAILED, f"{type(error).__name__}: {_text(error)}"))
        return replace(result, outcome=replace(result.outcome, seconds=round(time.perf_counter() - start, 3)))

    def failed(self, task: Task, fault: str) -> Result:
        """Give the result of a file that a fault of the program stopped."""
        return Result(task, self._failure(task, State.FAILED, fault))

    def _done(self, task: Task) -> Result:
        file = given(task.source)
        if file.kind is Kind.SOUND:
            return self._sound(task, file)
        watch = Watch(self.stop, lambda done, total: self.progress(task.name, done, total, "frames"))
        watch.started("read")
        return self._video(task, watch) if file.kind is Kind.VIDEO else self._photo(task, file, watch)

    def _photo(self, task: Task, file: Given, watch: Watch) -> Result:
        engine, policy = self.engine, self.wishes.photo(task.name)
        file.check_photo()
        data = file.read(engine.images.bytes)
        kind = probe(data, engine.images).kind.media_type
        faces = None
        if self.dry or self.wants_faces:
            found = detect_image(data, policy, engine.model.detector, engine.images, watch)
            faces = of_faces(found.faces)
            if self.dry:
                return Result(task, Outcome(str(task.source), State.FOUND, None, kind, len(found.faces)), None, faces)
        masked = mask_image(data, policy, engine.model.detector, engine.images, watch, engine.model.maskers)
        watch.started("write")
        self._put(masked.data, task)
        report = masked.report.by(engine.model)
        return Result(task, _told(task, report, report.faces), report, faces)

    def _video(self, task: Task, watch: Watch) -> Result:
        engine, policy = self.engine, self.wishes.video(task.name)
        if task.source == STREAM:
            raise UnsupportedMedia("a video is masked from a file, not from standard input")
        if not self.dry and (task.target is None or task.target == STREAM):
            raise UnsupportedMedia("a video is masked into a file, not to standard output")
        voice = engine.voice_model if policy.sound == "mask" else None
        faces = None
        if self.dry or self.wants_faces:
            faces = gather(detect_video(task.source, policy, engine.model.detector, engine.videos, watch))
        if self.dry or task.target is None:
            return self._found(task, policy, voice, faces or Selection())
        task.target.parent.mkdir(parents=True, exist_ok=True)
        model = engine.model
        report = mask_video(
            task.source, task.target, policy, model.detector, engine.videos, watch, model.maskers, voice
        ).by(model)
        open_up(task.target)
        speech = None if report.voice is None else report.voice.speech_seconds
        return Result(task, _told(task, report, report.faces, speech), report, faces)

    def _found(self, task: Task, policy: VideoPolicy, voice: VoiceModel | None, faces: Selection) -> Result:
        """Give what a dry run found in a video."""
        videos, speech = self.engine.videos, None
        if voice is not None:
            heard = find_video_speech(task.source, policy.voice, voice, videos, self._ear(task))
            speech = None if heard is None else heard.speech_seconds
        kind = probe_video(task.source, videos).media_type
        tracks = {row.track for row in faces.rows}
        return Result(task, Outcome(str(task.source), State.FOUND, None, kind, len(tracks), speech), None, faces)

    def _sound(self, task: Task, file: Given) -> Result:
        engine, policy, watch = self.engine, self.wishes.voice(), self._ear(task)
        watch.started("read")
        if self.dry and task.source == STREAM:
            raise UnsupportedMedia("speech is looked for in files, not in standard input")
        if self.dry:
            report = find_speech(task.source, policy, engine.voice_model, engine.sounds, watch)
            told = Outcome(str(task.source), State.FOUND, None, report.kind, speech=report.speech_seconds)
            return Result(task, told)
        if task.target is None or STREAM in (task.source, task.target):
            data = file.read(engine.sounds.bytes)
            masked = mask_audio_bytes(data, policy, engine.voice_model, engine.sounds, watch)
            self._put(masked.data, task)
            report = masked.report
        else:
            task.target.parent.mkdir(parents=True, exist_ok=True)
            report = mask_audio(task.source, task.target, policy, engine.voice_model, engine.sounds, watch)
            open_up(task.target)
        return Result(task, _told(task, report, 0, report.speech_seconds), report)

    def _ear(self, task: Task) -> Watch:
        """Give what watches work on sound: it tells of seconds."""

        def heard(done: int, total: int | None) -> None:
            self.progress(task.name, done // 1000, None if total is None else total // 1000, "s")

        return Watch(self.stop, heard)

    def _put(self, data: bytes, task: Task) -> None:
        if task.target == STREAM:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif task.target is not None:
            put(data, task.target, force=self.force)

    def _failure(self, task: Task, state: State, text: str) -> Outcome:
        if task.target is not None and task.target != STREAM and task.target.exists():
            # With --force somebody could take the file of an earlier run for the result of this one.
            text = f"{text} ({task.target} is of an earlier run)"
        return Outcome(str(task.source), state, error=text)


def _told(task: Task, report: MaskReport | VoiceReport, faces: int, speech: float | None = None) -> Outcome:
    return Outcome(
        file=str(task.source),
        state=State.NEEDS_REVIEW if report.needs_review else State.MASKED,
        output=str(task.target),
        kind=report.kind,
        faces=faces,
        speech=speech,
        notes=report.notes,
    )


def _text(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else str(error)
