"""``masker predictions``: the latest predictions of a platform, one a line."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cli.platform import Json, Url, platform
from cli.tell import printable

COLUMNS: Final = ("time", "id", "endpoint", "version", "variant", "outcome", "status", "seconds", "cache")


def predictions(
    endpoint: Annotated[str | None, typer.Option(help="Of this endpoint alone, such as faces.")] = None,
    version: Annotated[str | None, typer.Option(help="Of this version alone.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of this variant alone, such as challenger.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From 2026-01-31T12:00:00Z on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None,
    most: Annotated[int, typer.Option("-n", "--most", min=1, help="So many at most, newest first.")] = 20,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List what was answered: when, by which version and variant, what came of it, and how long it took."""
    asked = {"endpoint": endpoint, "version": version, "variant": variant, "since": since, "until": until}
    left, cursor = most, None
    with platform(url) as control:
        while left > 0:
            page = control.get("/v1/predictions", asked | {"most": min(left, 1000), "cursor": cursor})
            for row in page["predictions"]:
                typer.echo(json.dumps(row) if as_json else line_of(row))
            left -= len(page["predictions"])
            cursor = page["next"]
            if cursor is None:
                return


def line_of(row: Mapping[str, Any]) -> str:
    """Return a prediction as one line, in columns that tabs part."""
    told = [f"{row[name]:.4f}" if name == "seconds" else str(row[name]) for name in COLUMNS]
    counts = " ".join(f"{name}={value:g}" for name, value in row["counts"].items())
    told.append((counts + (" shadow" if row["shadow"] else "")).strip())
    return "\t".join(map(printable, told))
