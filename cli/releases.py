"""`masker release`: what people want of versions, and what came of it."""

import re
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cli.outcome import Exit
from cli.platform import SHORT, Actor, Json, Most, OfEndpoint, Platform, Reason, Url, at_work, found, named, platform
from cli.tell import emit, printable

WATCH_SECONDS: Final = 1.0
FIGURES_SECONDS: Final = 30.0
"""How often figures are told again while nothing else changes."""
_FIGURES: Final = re.compile(r"[0-9.]+")
ENDED: Final = ("succeeded", "rolled_back", "aborted", "failed", "rejected")

release = typer.Typer(
    no_args_is_help=True, help="Release a registered version to an endpoint's traffic, and take it back."
)
Which = Annotated[
    str,
    typer.Argument(
        metavar="RELEASE",
        help="Id of a release, its first letters, or an endpoint for the one that has its traffic, else its newest.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Tell of every change until it ends; exit code 1 unless it did well.")
]


@release.command()
def start(
    endpoint: Annotated[
        str, typer.Argument(metavar="ENDPOINT", help="faces, voices, or the name of a registered model.")
    ],
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Number of a registered version, an alias, or newest.")
    ],
    reason: Reason,
    strategy: Annotated[
        str, typer.Option(metavar="blue-green|canary|rolling|shadow|champion-challenger", help="How it goes.")
    ] = "canary",
    risk: Annotated[
        str | None,
        typer.Option(
            metavar="low|medium|high",
            help="How much can go wrong; the version's tag and the policy may say more.",
        ),
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
        "steps": [_step(each) for each in steps or ()], "policy": dict(named(each) for each in policy or ()),
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
        told = found(control, "release", which)
        _tell(told, as_json)
        if wait:
            raise typer.Exit(_follow(control, told, as_json))


@release.command("list")
def list_releases(
    endpoint: OfEndpoint = None,
    most: Most = 20,
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
            # What is to be taken back is what made the champion, whatever was asked for since.
            likely = (at_work, _has_promoted) if action == "rollback" else (at_work,)
            identity = found(control, "release", which, likely)["id"]
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


def _has_promoted(told: Mapping[str, Any]) -> bool:
    return bool(told["phase"] == "succeeded" and told["step"] >= len(told["steps"]))


def _follow(control: Platform, told: Mapping[str, Any], as_json: bool) -> Exit:
    """Tell of every change until the release has ended; of figures that merely grow, now and then."""
    said, at = _said(told), time.monotonic()
    while told["phase"] not in ENDED:
        time.sleep(WATCH_SECONDS)
        before, told = told, control.get(f"/v1/releases/{told['id']}")
        grown = before["note"] != told["note"] and time.monotonic() - at >= FIGURES_SECONDS
        if said != _said(told) or grown:
            _tell(told, as_json)
            said, at = _said(told), time.monotonic()
    return Exit.DONE if told["phase"] == "succeeded" else Exit.ERROR


def _said(told: Mapping[str, Any]) -> tuple[object, ...]:
    """Give what is told of a release, but for the figures in its note."""
    return told["phase"], told["step"], _FIGURES.sub("", told["note"])


def _tell(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        emit(told)
        return
    at_step = told["step"] < len(told["steps"])
    step = f" step {told['step'] + 1} of {len(told['steps'])}," if at_step else ""
    note = f": {told['note']}" if told["note"] else ""
    of = "the replicas, rounded up" if told["strategy"] == "rolling" and at_step else "the traffic"
    line = (
        f"{told['id'][:SHORT]}  {told['endpoint']} version {told['version']} over {told['baseline']}, "
        f"{told['strategy']}: {told['phase'].replace('_', ' ')},{step} {100 * told['weight']:g} % of {of}{note}"
    )
    typer.echo(printable(line))


def _step(given: str) -> dict[str, float | None]:
    try:
        weight, seconds, minimum = given.split(":")
        lasts = None if seconds == "inf" else float(seconds)
        return {"weight": float(weight), "seconds": lasts, "minimum": int(minimum)}
    except ValueError as error:
        raise typer.BadParameter(f"{given} is no WEIGHT:SECONDS:REQUESTS, such as 0.05:60:100") from error
