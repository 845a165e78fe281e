"""The commands of `masker`. What is heavy is imported where it is used, so that help comes at once."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.approvals import approvals, audit
from cli.captures import captures
from cli.experiments import experiment
from cli.outcome import Exit
from cli.predictions import predictions
from cli.releases import release
from cli.sql import sql

app = typer.Typer(
    name="masker",
    help="Masks faces and voices, on this machine alone; talks to the platform that serves them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a file failed, 2 wrong usage, 3 done but needs review, 4 withheld or something shows,"
    " 130 interrupted; of several, 1 outweighs 4, and 4 outweighs 3.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from masking.report import VERSION

        typer.echo(f"masker {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(short_help="List the styles, and what each of them hides.")
def styles() -> None:
    """List the styles of masks, what they hide, and what was measured."""
    from cli.engine import start_engine
    from cli.styles import lines
    from mlops.layers import InvalidSettings
    from mlops.settings import load_settings

    try:
        settings = load_settings()
    except InvalidSettings as error:
        typer.echo(f"masker: {error}", err=True)
        raise typer.Exit(Exit.ERROR) from error
    bundle = start_engine(settings).voice_bundle()
    for line in lines(bundle, settings.masking.style, settings.masking.voice_style):
        typer.echo(line)


@app.command(short_help="Mask photos, videos, sound files and folders.")
def mask(
    sources: Annotated[
        list[Path], typer.Argument(metavar="IN", help="Photos, videos, sound, folders; - for standard input.")
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="OUT", help="File for one input, else a folder; - for standard output."),
    ] = None,
    style: Annotated[str | None, typer.Option(help="Style of the masks; `masker styles` lists them.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a face is masked; lower masks more.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="thorough or fast; photos are searched thoroughly unless said, videos fast.")
    ] = None,
    doubt: Annotated[
        str, typer.Option(help="Frames in doubt: mask them whole, or withhold the video.", metavar="mask|withhold")
    ] = "mask",
    untouched: Annotated[
        str,
        typer.Option(
            help="Stretches of H.264 in which nothing is masked: code them anew, or copy them.", metavar="code|copy"
        ),
    ] = "code",
    voice: Annotated[
        str,
        typer.Option(help="Sound of videos: drop it, mask the voices, or keep it as it is.", metavar="drop|mask|keep"),
    ] = "drop",
    voice_style: Annotated[str | None, typer.Option(help="Style of voices; `masker styles` lists them.")] = None,
    background: Annotated[
        str | None, typer.Option(help="Sound that is no speech: silence, or as it is.", metavar="drop|keep")
    ] = None,
    consistent: Annotated[
        bool, typer.Option("--consistent", help="One pseudo-voice for each speaker of a file: it tells who said what.")
    ] = False,
    regions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Region list (.csv or .json) to mask and keep, as --boxes writes."),
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the region list here (.csv, .json; - for CSV on stdout).")
    ] = None,
    mask_boxes: Annotated[
        list[str] | None, typer.Option("--mask", metavar="X1,Y1,X2,Y2", help="Mask this region too; may be repeated.")
    ] = None,
    keep_boxes: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="X1,Y1,X2,Y2", help="Leave faces in this region; may be repeated."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="PLACE", help="Reports: a .json file for one input, else a folder; - for stdout."),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Secret for surrogates and pseudo-voices; same key, same draws.")
    ] = None,
    keep_tone: Annotated[
        bool,
        typer.Option(
            "--keep-tone", help="Surrogates of light, medium or dark skin as the face: it tells people apart."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look for faces and speech only; write nothing but --boxes.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing outputs, never an input.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave existing outputs, and do not work on their inputs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each file on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Tell of faults only.")] = False,
    jobs: Annotated[int, typer.Option(min=0, help="Files worked on at one time; 0: one for each core, at most 4.")] = 0,
) -> None:
    """Mask the faces and voices of photos, videos, sound files and whole folders.

    Folders are taken with all folders in them, and names are kept; hidden files and what is no media are passed over
    and counted. Of several inputs, a folder keeps its name in OUT. Metadata does not go along, the time of the file
    included. A file that fails stops no other.
    """
    from cli.asked import Asked
    from cli.mask import mask_files

    asked = Asked(
        sources=tuple(sources), out=Path(out) if out else None,
        style=style, threshold=threshold, search=search, doubt=doubt, untouched=untouched,
        voice=voice, voice_style=voice_style, background=background, consistent=consistent,
        regions=regions, boxes=boxes, mask=tuple(mask_boxes or ()), keep=tuple(keep_boxes or ()), report=report,
        key_file=key_file, keep_tone=keep_tone, dry_run=dry_run, force=force, skip_existing=skip_existing,
        as_json=as_json, quiet=quiet, jobs=jobs, into=bool(out) and str(out).endswith(os.sep),
    )  # fmt: skip
    raise typer.Exit(mask_files(asked))


@app.command(short_help="Look for what a masked file still shows.")
def verify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The original.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The masked file.")],
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="Its report, as `masker mask --report` wrote it.")],
    regions: Annotated[Path | None, typer.Option(metavar="FILE", help="Region list that it was masked with.")] = None,
    mask_boxes: Annotated[
        list[str] | None, typer.Option("--mask", metavar="X1,Y1,X2,Y2", help="A region that it was masked with.")
    ] = None,
    keep_boxes: Annotated[
        list[str] | None, typer.Option("--keep", metavar="X1,Y1,X2,Y2", help="A region that was kept.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a face counts; else that of the report.")
    ] = None,
    search: Annotated[str, typer.Option(help="thorough or fast.")] = "thorough",
    every: Annotated[
        int, typer.Option(min=1, help="Of a video, look at every so many frames and where tracks begin and end.")
    ] = 10,
    everything: Annotated[bool, typer.Option("--all", help="Look at every frame of a video.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Look at a masked file a second time: 0 if nothing shows, 4 if anything does.

    A finding is a face, found in IN or in OUT, that looks in OUT as it does in IN, and speech that sounds as it did;
    metadata or sound that came along; another size, length or timing; or a file that is not the one of the report.
    What is taken for a face in a video only weakly and for a moment is told, but is no finding. It cannot find a face
    that the detector sees in neither file, and it does not know whom clothes, words or a place give away.
    """
    from cli.verify import Question, verify_file

    question = Question(
        source, output, report, regions, tuple(mask_boxes or ()), tuple(keep_boxes or ()), threshold, search,
        1 if everything else every, as_json,
    )  # fmt: skip
    raise typer.Exit(verify_file(question))


@app.command(short_help="Mask what a camera sees, live.")
def cam(
    device: Annotated[int, typer.Option(min=0, help="Number of the camera.")] = 0,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="A video instead of a camera.")] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Mask there (ws://127.0.0.1:8000/v1/live); else right here."),
    ] = None,
    output: Annotated[
        str, typer.Option(metavar="camera|FILE|-", help="Virtual camera, or motion JPEG in a new file or on stdout.")
    ] = "camera",
    style: Annotated[str | None, typer.Option(help="Style of the masks.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Score from which a face is masked.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many frames.")] = None,
) -> None:
    """Mask what a camera sees, live; the time that it takes is told on standard error.

    Whatever goes wrong with a frame, a black one is shown, never the raw one.
    """
    from cli.cam import Live, stream

    raise typer.Exit(stream(Live(device, source, server, output, style, threshold, frames)))


app.add_typer(release, name="release")
app.add_typer(approvals, name="approvals")
app.add_typer(captures, name="captures")
app.add_typer(experiment, name="experiment")
app.command(short_help="Show who did what, or verify the log of it.")(audit)
app.command(short_help="List what was answered, by which version.")(predictions)
app.command(short_help="Ask one SELECT of predictions and captures.")(sql)
