"""``masker sql``: a question over the predictions, features and results of a platform."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.platform import Json, Url, platform
from cli.tell import printable


def sql(
    query: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT, in DuckDB's SQL.")],
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Ask one SELECT over the tables predictions, features and results; CSV comes out.

    It can only read, and only those tables; rows and time are limited. Times are UTC. Rows land about a minute late.
    """
    with platform(url) as control:
        table = control.post("/v1/sql", {"query": query})
    if as_json:
        typer.echo(json.dumps(table))
        return
    typer.echo(lines_of(table["columns"], table["rows"]), nl=False)
    if table["truncated"]:
        typer.echo(f"masker: there are more rows than the {len(table['rows'])} that are answered", err=True)


def lines_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as CSV (RFC 4180, but with line feeds); what is nested is JSON."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([printable(name) for name in columns])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list | dict):
        return json.dumps(value)
    return printable(value) if isinstance(value, str) else value
