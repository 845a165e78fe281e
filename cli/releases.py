"""`masker release`: what people want of versions, and what came of it."""

import json
import re
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cli.outcome import Exit
from cli.platform import SHORT, Actor, Json, Platform, PlatformError, Reason, Url, one, platform
from cli.tell import emit, printable

WATCH_SECONDS: Final = 1.0
ENDED: Final = ("succeeded", "rolled_back", "aborted", "failed", "rejected")
_IDENTITY: Final = re.compile(r"[0-9a-f]{6,32}")

release = typer.Typer(
    no_args_is_help=True, help="Release a registered version to an endpoint's traffic, and take it back."
)
Which = Annotated[
    str,
    typer.Argument(metavar="RELEASE", help="Id of a release, its first letters, or an endpoint for its newest one."),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Tell of every change until it ends; exit code 1 unless it did well.")
]


@release.command()
def start(
    endpoint: Annotated[str, typer.Argument(help="faces, voices, or the name of a registered model.")],
    version: Annotated[str, typer.Argument(help="Number of a registered version, an alias, or newest.")],
    reason: Reason,
    strategy: Annotated[
        str, typer.Option(metavar="blue-green|canary|rolling|shadow|champion-challenger", help="How it goes.")
    ] = "canary",
    risk: Annotated[
        str | None,
        typer.Option(metavar="low|medium|high", help="How much can go wrong; else what the version's tag says."),
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            "--step",
            metavar="WEIGHT:SECONDS:REQUESTS",
            help="A step of one's own, such as 0.05:60:100; may be repeated.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A default that is another for this version, such as threshold=0.3."),
    ] = None,
    wait: Wait = False,
    as_json: Json = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """Ask for a release; it begins by itself, or once people have approved of it."""
    wanted = {
        "endpoint": endpoint, "version": version, "reason": reason, "strategy": strategy, "risk": risk,
        "steps": [_step(each) for each in steps or ()], "policy": dict(_default(each) for each in policy or ()),
    }  # fmt: skip
    with platform(url, actor) as control:
        told = control.post("/v1/releases", wanted)
        _tell(told, as_json)
        if told.get("approval_id") and not as_json:
            typer.echo(f"it waits for approval: masker approvals approve {told['approval_id'][:SHORT]} --reason ...")
        if wait:
            raise typer.Exit(_follow(control, told, as_json))


@release.command()
def status(which: Which, wait: Wait = False, as_json: Json = False, url: Url = None, actor: Actor = None) -> None:
    """Tell how a release stands."""
    with platform(url, actor) as control:
        told = _found(control, which)
        _tell(told, as_json)
        if wait:
            raise typer.Exit(_follow(control, told, as_json))


@release.command("list")
def list_releases(
    endpoint: Annotated[str | None, typer.Option(help="Only those of this endpoint.")] = None,
    most: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """List releases, newest first."""
    with platform(url, actor) as control:
        for told in control.get("/v1/releases", {"endpoint": endpoint, "most": most})["releases"]:
            _tell(told, as_json)


def _add(action: str, about: str) -> None:
    """Add the command of one move."""

    def act(which: Which, reason: Reason, as_json: Json = False, url: Url = None, actor: Actor = None) -> None:
        with platform(url, actor) as control:
            identity = _found(control, which)["id"]
            _tell(control.post(f"/v1/releases/{identity}/{action}", {"reason": reason}), as_json)

    release.command(action, help=about)(act)


for _action, _about in {
    "promote": "Go on to the next step now; after the last one the candidate becomes champion.",
    "promote-full": "Make the candidate champion now, whatever steps are left.",
    "pause": "Stay at the step; the guard goes on watching.",
    "resume": "Go on after a pause, with the step begun anew.",
    "abort": "End it: at once before the candidate has traffic, else by rolling back.",
    "rollback": "Give the version before everything again, also after the release succeeded.",
}.items():
    _add(_action, _about)


def _found(control: Platform, which: str) -> dict[str, Any]:
    """Look a release up by its id, the beginning of one, or its endpoint."""
    if not _IDENTITY.fullmatch(which):
        newest = control.get("/v1/releases", {"endpoint": which, "most": 1})["releases"]
        if not newest:
            raise PlatformError(f"{which} had no release yet", "masker release start begins one")
        return dict(newest[0])
    if len(which) < 32:
        which = one([each["id"] for each in control.get("/v1/releases", {"most": 1000})["releases"]], which, "release")
    return control.get(f"/v1/releases/{which}")


def _follow(control: Platform, told: Mapping[str, Any], as_json: bool) -> Exit:
    """Tell of every change until the release has ended."""
    while told["phase"] not in ENDED:
        time.sleep(WATCH_SECONDS)
        before, told = told, control.get(f"/v1/releases/{told['id']}")
        if any(before[name] != told[name] for name in ("phase", "step", "note")):
            _tell(told, as_json)
    return Exit.DONE if told["phase"] == "succeeded" else Exit.ERROR


def _tell(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        emit(told)
        return
    step = f" step {told['step'] + 1} of {len(told['steps'])}," if told["step"] < len(told["steps"]) else ""
    note = f": {told['note']}" if told["note"] else ""
    line = (
        f"{told['id'][:SHORT]}  {told['endpoint']} version {told['version']} over {told['baseline']}, "
        f"{told['strategy']}: {told['phase'].replace('_', ' ')},{step} {100 * told['weight']:g} % of the traffic{note}"
    )
    typer.echo(printable(line))


def _step(given: str) -> dict[str, float | None]:
    try:
        weight, seconds, minimum = given.split(":")
        lasts = None if seconds == "inf" else float(seconds)
        return {"weight": float(weight), "seconds": lasts, "minimum": int(minimum)}
    except ValueError as error:
        raise typer.BadParameter(f"{given} is no WEIGHT:SECONDS:REQUESTS, such as 0.05:60:100") from error


def _default(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{given} is no NAME=VALUE, such as threshold=0.3")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
