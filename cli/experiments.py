"""`masker experiment`: what people want to find out of live traffic, and what came of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.platform import SHORT, Actor, Json, Most, OfEndpoint, Reason, Url, found, named, platform
from cli.tell import emit, printable

_FOR_EVER_DAYS: Final = 1e6
_METRIC: Final = "NAME=KIND:SOURCE[,FIELD=VALUE...]"

experiment = typer.Typer(no_args_is_help=True, help="Compare versions or policies on live traffic.")
Which = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT",
        help="Id of an experiment, its first letters, or an endpoint for the one that runs, else its newest.",
    ),
]


@experiment.command()
def start(
    endpoint: Annotated[
        str, typer.Argument(metavar="ENDPOINT", help="faces, voices, or the name of a registered model.")
    ],
    reason: Reason,
    version: Annotated[
        str | None, typer.Option(help="Version of the other arm; the champion's, with another policy, unless given.")
    ] = None,
    weight: Annotated[float, typer.Option(help="Share of the subjects that the other arm gets.")] = 0.5,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A default that is another for the other arm, such as threshold=0.3."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar=_METRIC,
            help="To be better: such as slow=quantile:seconds,minimum_effect=0.1 or faces=ratio:counts.faces,"
            "better=higher; may be repeated.",
        ),
    ] = None,
    guardrails: Annotated[
        list[str] | None,
        typer.Option(
            "--guardrail",
            metavar=_METRIC,
            help="Not to be worse: such as errors=binary:error,minimum_effect=0.5; may be repeated.",
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON of everything else that POST /v1/experiments takes, such as more arms."
        ),
    ] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Plan only: say how many subjects and days it needs.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start it even though it could not end within its longest duration.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """Plan an experiment, say what it needs, and start it."""
    arm = {"version": version, "weight": weight, "policy": dict(named(each) for each in policy or ())}
    wanted = {
        "arms": [arm],
        **_read(plan),
        "endpoint": endpoint,
        "reason": reason,
    }
    given = [_metric(each, "primary") for each in metrics or ()] + [
        _metric(each, "guardrail") for each in guardrails or ()
    ]
    wanted["metrics"] = [*wanted.get("metrics", []), *given]
    with platform(url, actor) as control:
        told = control.post("/v1/experiments", wanted)
        if not draft:
            typer.echo(printable(_needs(told)), err=True)
            told = control.post(f"/v1/experiments/{told['id']}/start", {"force": force})
        _tell(told, as_json)


@experiment.command()
def status(which: Which, as_json: Json = False, url: Url = None, actor: Actor = None) -> None:
    """Tell the answer of an experiment, as far as there is one, and the numbers under it."""
    with platform(url, actor) as control:
        _tell(found(control, "experiment", which), as_json)


@experiment.command()
def stop(which: Which, reason: Reason, as_json: Json = False, url: Url = None, actor: Actor = None) -> None:
    """Stop an experiment; the champion gets everything again."""
    with platform(url, actor) as control:
        identity = found(control, "experiment", which)["id"]
        _tell(control.post(f"/v1/experiments/{identity}/stop", {"reason": reason}), as_json)


@experiment.command()
def decide(
    which: Which,
    reason: Reason,
    ship: Annotated[str, typer.Option(metavar="ARM", help="The arm to ship; the champion stays unless given.")] = "",
    as_json: Json = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """Note what was made of a stopped experiment; `masker release start` is what ships a version."""
    with platform(url, actor) as control:
        identity = found(control, "experiment", which, (_is_stopped,))["id"]
        made = {"decision": "ship" if ship else "roll back", "arm": ship, "reason": reason}
        _tell(control.post(f"/v1/experiments/{identity}/decide", made), as_json)


@experiment.command("list")
def list_experiments(
    endpoint: OfEndpoint = None,
    most: Most = 20,
    as_json: Json = False,
    url: Url = None,
    actor: Actor = None,
) -> None:
    """List experiments, newest first."""
    with platform(url, actor) as control:
        for told in control.get("/v1/experiments", {"endpoint": endpoint, "most": most})["experiments"]:
            if as_json:
                emit(told)
            else:
                typer.echo(printable(_line(told)))


def _is_stopped(told: Mapping[str, Any]) -> bool:
    return bool(told["state"] == "stopped")


def _tell(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        emit(told)
        return
    lines = [_line(told), told["sentence"]]
    if told["look"]:
        lines += [f"  {reason}" for reason in told["look"]["reasons"]]
        exposed = ", ".join(f"{arm} {count}" for arm, count in told["look"]["health"]["exposed"].items())
        lines.append(f"  subjects: {exposed}; planned {told['look']['planned_subjects']} in all")
    else:
        lines.append(f"  {_needs(told)}")
    if told["why_stopped"]:
        lines.append(f"  stopped: {told['why_stopped']}")
    for line in lines:
        typer.echo(printable(line))


def _line(told: Mapping[str, Any]) -> str:
    arms = " against ".join(f"{arm['name']} (version {arm['version']}, {arm['weight']:.0%})" for arm in told["arms"])
    decided = f": {told['decision']} {told['arm']}".rstrip() if told["decision"] else ""
    note = f": {told['note']}" if told["note"] else ""
    return f"{told['id'][:SHORT]}  {told['endpoint']}, {arms}: {told['state']}{decided}{note}"


def _needs(told: Mapping[str, Any]) -> str:
    needs = told["needs"]
    longest = f"its longest duration is {told['longest_days']:.1f} days"
    return f"it needs {needs['subjects']} subjects, {_stretch(needs['days'])}; {longest}"


def _stretch(days: float | None) -> str:
    if days is None or days > _FOR_EVER_DAYS:
        return "which never come"
    if days * 24 < 1:
        return "less than an hour"
    return f"about {days:.1f} days" if days >= 1 else f"about {days * 24:.1f} hours"


def _metric(given: str, role: str) -> dict[str, Any]:
    """Read ``NAME=KIND:SOURCE,FIELD=VALUE``."""
    head, *rest = given.split(",")
    name, equals, what = head.partition("=")
    kind, colon, source = what.partition(":")
    if not (name and equals and kind and colon and source):
        raise typer.BadParameter(f"{given} is no {_METRIC}, such as errors=binary:error,minimum_effect=0.5")
    return {"name": name, "kind": kind, "source": source, "role": role} | dict(named(each) for each in rest)


def _read(plan: Path | None) -> dict[str, Any]:
    if plan is None:
        return {}
    try:
        read = json.loads(plan.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter("the plan cannot be read as JSON") from error
    if not isinstance(read, dict):
        raise typer.BadParameter("the plan is no JSON object")
    return read
