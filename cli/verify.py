"""`masker verify`: what does not fit, and who shows."""

from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from cli.faults import NotInstalledError, UsageError
from cli.outcome import Exit
from cli.tell import emit, printable


@dataclass(frozen=True, slots=True)
class Question:
    """The options of ``masker verify`` as they were given; see its help."""

    source: Path
    output: Path
    report: Path
    regions: Path | None = None
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
    except OSError as error:
        fault = f"{error.filename}: {error.strerror}"
    except (NotInstalledError, InvalidSettings, MaskingError) as error:
        fault = str(error)
    if question.as_json:
        emit({"file": str(question.output), "state": "failed", "error": fault})
    typer.echo(f"masker: {printable(fault)}", err=True)
    return Exit.ERROR


def _verified(question: Question) -> Exit:
    from cli.engine import cores, start_engine
    from cli.regions import Regions, read_regions
    from masking.face.search import EFFORTS
    from masking.policy import check_threshold
    from masking.verify import Judge, read_report, verify

    for path in (question.source, question.output, question.report):
        if not path.is_file():
            raise UsageError(f"{path} is not there, or is no file")
    if question.search not in EFFORTS:
        raise UsageError(f"unknown search; known are {', '.join(EFFORTS)}")
    if question.threshold is not None:
        check_threshold(question.threshold)
    regions = Regions() if question.regions is None else read_regions(question.regions)
    report = read_report(question.report.read_bytes())
    engine = start_engine(threads=cores())
    judge = Judge(
        detector=engine.model.detector,
        images=engine.images,
        videos=engine.videos,
        threshold=question.threshold,
        search=question.search,
        selection=regions.of(question.source.name),
        every=question.every,
    )
    found = verify(question.source, question.output, report, judge)
    shows = bool(found.findings)
    if question.as_json:
        emit(
            {
                "file": str(question.output),
                "state": "shows" if shows else "nothing_shows",
                "error": None,
                **asdict(found),
            }
        )
    else:
        for finding in found.findings:
            where = f"frame {finding.frame}: " if finding.frame is not None else ""
            box = f" at {', '.join(map(str, finding.box))}" if finding.box else ""
            typer.echo(f"{finding.code}: {where}{finding.text}{box}")
    told = f"{len(found.findings)} findings" if shows else "nothing shows"
    typer.echo(
        f"looked at {found.looked_at} of {found.frames} frames, {found.faces} faces in the original,"
        f" {found.over_masks} shapes over masks taken for faces: {told}",
        err=True,
    )
    return Exit.WITHHELD if shows else Exit.DONE
