"""`masker approvals` and `masker audit`: who lets a release begin, and who did what."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.outcome import Exit
from cli.platform import SHORT, Actor, Json, Most, Reason, Url, one, platform
from cli.tell import emit, printable

approvals = typer.Typer(no_args_is_help=True, help="Approve of releases that wait for people, or reject them.")


@approvals.command("list")
def list_approvals(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided or void.")] = False,
    as_json: Json = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """List what waits for approval, newest first."""
    with platform(url, actor) as control:
        for told in control.get("/v1/approvals")["approvals"]:
            if everything or told["state"] == "pending":
                _tell_approval(told, as_json)


@approvals.command()
def approve(
    which: Annotated[str, typer.Argument(metavar="APPROVAL")], reason: Reason, url: Url = None, actor: Actor = None
) -> None:
    """Approve; with the last approval that is needed the release begins. Nobody approves of his own."""
    _decide(which, "approve", reason, url, actor)


@approvals.command()
def reject(
    which: Annotated[str, typer.Argument(metavar="APPROVAL")], reason: Reason, url: Url = None, actor: Actor = None
) -> None:
    """Reject; one rejection ends the release."""
    _decide(which, "reject", reason, url, actor)


def audit(
    subject: Annotated[str | None, typer.Option(help="Only entries about this, such as the id of a release.")] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Only entries of this actor.")] = None,
    most: Most = 20,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look through the whole log for changes; 4 if there are any.")
    ] = False,
    noted: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="With --verify: a digest that was noted before.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """Show who did what, newest first, or verify that nobody changed it."""
    with platform(url, actor) as control:
        if verify:
            raise typer.Exit(_verified(control.get("/v1/audit/verify", {"noted": noted}), as_json))
        for told in control.get("/v1/audit", {"subject": subject, "actor": by, "most": most})["entries"]:
            details = json.dumps(told["details"])
            when = _time(told["time"]) if told["time"] else "no time"
            what = "  ".join((when, told["actor"], told["action"], told["subject"], details))
            mark = "  (damaged: see --verify)" if told["damaged"] else ""
            emit(told) if as_json else typer.echo(printable(f"{told['sequence']:>6}  {what}{mark}"))


def _verified(verdict: Mapping[str, Any], as_json: bool) -> Exit:
    if as_json:
        emit(verdict)
    elif verdict["whole"]:
        typer.echo(f"the log is whole; its newest digest is {verdict['newest'] or 'none: it is empty'}")
    else:
        typer.echo(f"the log is not as it was written: entry {verdict['broken']} breaks the chain")
    return Exit.DONE if verdict["whole"] else Exit.WITHHELD


def _decide(which: str, word: str, reason: str, url: str | None, actor: str | None) -> None:
    with platform(url, actor) as control:
        found = one([each["id"] for each in control.get("/v1/approvals")["approvals"]], which, "request for approval")
        _tell_approval(control.post(f"/v1/approvals/{found}/{word}", {"reason": reason}), as_json=False)


def _tell_approval(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        emit(told)
        return
    votes = ", ".join(f"{each['actor']} {'approved' if each['approves'] else 'rejected'}" for each in told["votes"])
    line = (
        f"{told['id'][:SHORT]}  release {told['release'][:SHORT]} of {told['requested_by']}: {told['state']}, "
        f"{len(told['votes'])} of {told['needed']} votes{f' ({votes})' if votes else ''}, "
        f"until {_time(told['expires'])}: {told['reason']}"
    )
    typer.echo(printable(line))


def _time(told: str) -> str:
    return told[:19].replace("T", " ")
