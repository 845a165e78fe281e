"""`masker verify`: what does not fit, and who shows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.faults import NotInstalledError, UsageError, words
from cli.outcome import Exit
from cli.tell import emit, printable

if TYPE_CHECKING:
    from masking.evaluation.open_faces import Finding
    from masking.selection import Selection


@dataclass(frozen=True, slots=True)
class Question:
    """The options of ``masker verify`` as they were given; see its help."""

    source: Path
    output: Path
    report: Path
    regions: Path | None = None
    mask: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    threshold: float | None = None
    search: str = "thorough"
    every: int = 10
    as_json: bool = False


def verify_file(question: Question) -> Exit:
    """Look at a masked file a second time, and say what was found.

    Raises:
        BadParameter: It cannot be done as asked.
    """
    from masking.errors import MaskingError, PolicyError
    from mlops.layers import InvalidSettings

    try:
        return _verified(question)
    except (UsageError, PolicyError) as error:
        raise typer.BadParameter(str(error)) from error
    except (NotInstalledError, InvalidSettings, MaskingError, OSError) as error:
        fault = words(error)
    if question.as_json:
        emit({"file": str(question.output), "state": "failed", "error": fault})
    typer.echo(f"masker: {printable(fault)}", err=True)
    return Exit.ERROR


def _verified(question: Question) -> Exit:
    from cli.kinds import Kind, given

    for path in (question.source, question.output, question.report):
        if not path.is_file():
            raise UsageError(f"{path} is not there, or is no file")
    kinds = [given(path).kind for path in (question.source, question.output)]
    if kinds == [Kind.SOUND, Kind.SOUND]:
        return _heard(question)
    if Kind.SOUND in kinds:
        raise UsageError("one of the files is sound, and the other is not")
    return _seen(question)


def _heard(question: Question) -> Exit:
    """Listen to a sound file beside its original."""
    from cli.engine import cores, start_engine
    from masking.verify_voice import Ear, read_voice_report, verify_sound

    report = read_voice_report(question.report.read_bytes())
    engine = start_engine(threads=cores())
    found = verify_sound(question.source, question.output, report, Ear(engine.voice_model.vad, engine.sounds))
    told = f"compared {found.speech_seconds:.1f} s of speech in {found.seconds:.1f} s of sound"
    return _answer(question, found.findings, asdict(found), told)


def _seen(question: Question) -> Exit:
    """Look at a photo or a video beside its original; where voices are masked, listen too."""
    from cli.engine import cores, start_engine
    from masking.face.search import EFFORTS
    from masking.policy import check_threshold
    from masking.verify import Judge, read_report, verify

    if question.search not in EFFORTS:
        raise UsageError(f"unknown search; known are {', '.join(EFFORTS)}")
    if question.threshold is not None:
        check_threshold(question.threshold)
    selection = _selection(question)
    report = read_report(question.report.read_bytes())
    engine = start_engine(threads=cores())
    judge = Judge(
        detector=engine.model.detector,
        images=engine.images,
        videos=engine.videos,
        threshold=question.threshold,
        search=question.search,
        selection=selection,
        every=question.every,
        vad=None if report.voice is None else engine.voice_model.vad,
    )
    found = verify(question.source, question.output, report, judge)
    unsure = (
        f", {len(found.unconfirmed)} too weak and short to be sure (--json lists them)" if found.unconfirmed else ""
    )
    told = (
        f"looked at {found.looked_at} of {found.frames} frames, {found.faces} faces in the original,"
        f" {found.over_masks} shapes over masks taken for faces{unsure}"
    )
    return _answer(question, found.findings, asdict(found), told)


def _answer(question: Question, findings: Sequence["Finding"], values: Mapping[str, object], told: str) -> Exit:
    shows = bool(findings)
    if question.as_json:
        state = "shows" if shows else "nothing_shows"
        emit({"file": str(question.output), "state": state, "error": None, **values})
    else:
        for finding in findings:
            typer.echo(_line(finding))
    count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    typer.echo(f"{told}: {count if shows else 'nothing shows'}", err=True)
    return Exit.WITHHELD if shows else Exit.DONE


def _selection(question: Question) -> "Selection":
    """Give what the file was masked with: the list of a file, and what was drawn on the command line."""
    from cli.regions import Regions, read_regions
    from cli.wishes import drawn

    listed = (Regions() if question.regions is None else read_regions(question.regions)).of(question.source.name)
    rows = [drawn(action, text) for action in ("mask", "keep") for text in getattr(question, action)]
    return replace(listed, rows=(*listed.rows, *rows))


def _line(finding: "Finding") -> str:
    where = f"frame {finding.frame}: " if finding.frame is not None else ""
    box = f" at {', '.join(map(str, finding.box))}" if finding.box else ""
    return f"{finding.code}: {where}{finding.text}{box}"
