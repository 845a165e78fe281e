"""``masker captures``: what was kept of predictions, listed, shown and exported; the audit log has who opened what."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.platform import Actor, Json, Platform, PlatformError, Reason, Url, one, platform
from cli.tell import printable

captures = typer.Typer(no_args_is_help=True, help="List and open what was kept of predictions.")
COLUMNS: Final = ("time", "id", "endpoint", "version", "variant", "media_type", "bytes")
ENDINGS: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
    "audio/aac": ".aac",
    "application/json": ".json",
}
LETTERS: Final = 32
RAW_ENDING: Final = ".raw"
Which = Annotated[str, typer.Argument(metavar="ID", help="Id of the prediction, or how one of the latest begins.")]


@captures.command("list")
def newest(
    endpoint: Annotated[str | None, typer.Option(help="Of this endpoint alone, such as faces.")] = None,
    version: Annotated[str | None, typer.Option(help="Of this version alone.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of this variant alone, such as challenger.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From 2026-01-31T12:00:00Z on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None,
    most: Annotated[int, typer.Option("-n", "--most", min=1, max=1000, help="So many at most, newest first.")] = 20,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List what was captured, without opening it."""
    asked = {"endpoint": endpoint, "version": version, "variant": variant, "since": since, "until": until}
    with platform(url) as control:
        found = control.get("/v1/captures", asked | {"most": most})["captures"]
    for capture in found:
        line = "\t".join(printable(str(capture[name])) for name in COLUMNS)
        typer.echo(json.dumps(capture) if as_json else line)


@captures.command()
def show(which: Which, reason: Reason, url: Url = None, actor: Actor = None) -> None:
    """Open the features and the report of a capture, as JSON."""
    with platform(url, actor) as control:
        capture = control.get(f"/v1/captures/{_whole(control, which)}", {"reason": reason})
    typer.echo(json.dumps(capture, indent=2))


@captures.command()
def export(
    which: Which,
    reason: Reason,
    target: Annotated[Path, typer.Option("--to", help="Folder that the file goes to.")] = Path(),
    raw: Annotated[bool, typer.Option("--raw", help="What came in; only for those who may, under a grant.")] = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """Open the masked output of a capture and write it to a file that only you can read; says where."""
    from cli.place import put
    from masking.errors import StorageError

    with platform(url, actor) as control:
        identity = _whole(control, which)
        part = "raw" if raw else "output"
        data, media_type = control.fetch(f"/v1/captures/{identity}/{part}", {"reason": reason})
        ending = RAW_ENDING if raw else ENDINGS.get(media_type, ".bin")
        place = target / f"{identity}{ending}"
        try:
            put(data, place, force=True, private=True)
        except StorageError as error:
            raise PlatformError("the capture cannot be written", str(error)) from error
    typer.echo(str(place))


def _whole(control: Platform, which: str) -> str:
    if len(which) == LETTERS:
        return which
    latest: list[dict[str, Any]] = control.get("/v1/captures", {"most": 1000})["captures"]
    return one([each["id"] for each in latest], which, "capture")
