"""What is asked of experiments, and what is told of them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field

from mlops.experiments.plan import MOST_ARMS, MOST_METRICS, MOST_VALUE, Arm, Better, Kind, Method, Metric, Role
from mlops.experiments.state import DECIDED, DRAFT, STATES, STOPPED, Experiment
from mlops.experiments.table import needs_told
from services.control.endpoints import EndpointName
from services.control.views import Reason

MOST_OUTCOMES = 10_000
ArmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Version = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Number of a registered version, one of its aliases, or `newest`; the champion's unless given.",
    ),
]


class ArmRequest(BaseModel, extra="forbid"):
    """What some of the subjects are to get; the champion gets the rest."""

    name: ArmName = "challenger"
    version: Version | None = None
    weight: float = Field(0.5, gt=0, lt=1, description="Share of the subjects.")
    policy: dict[str, Any] = Field({}, description="Defaults of the endpoint that are others for this arm.")


class MetricRequest(BaseModel, extra="forbid"):
    """One thing that is measured of every subject."""

    name: ArmName
    kind: Kind
    source: str = Field(
        max_length=80,
        description="`error`, `seconds` or `requests` of predictions, `counts.faces` and the like, or `outcome.NAME`.",
    )
    role: Role = Field("primary", description="`primary`: to be better; `guardrail`: not to be worse.")
    better: Better = "lower"
    minimum_effect: float = Field(
        0.1, gt=0, le=10, description="Smallest change worth finding, or harm that is tolerated, as a share."
    )
    baseline: float | None = Field(None, gt=0, description="The champion's value; from past predictions unless given.")
    deviation: float | None = Field(
        None, gt=0, description="Standard deviation over subjects (of `quantile`: of logarithms); likewise."
    )
    quantile: float = Field(0.95, gt=0, lt=1)
    per: str = Field("requests", max_length=80, description="Source of the denominator of a `ratio`.")
    history: bool = Field(False, description="Take out what a subject's past tells (CUPED).")


class ExperimentRequest(BaseModel, extra="forbid"):
    """What an experiment is to find out, and how."""

    endpoint: EndpointName
    reason: Reason
    arms: list[ArmRequest] = Field(min_length=1, max_length=MOST_ARMS - 1)
    metrics: list[MetricRequest] = Field(min_length=1, max_length=MOST_METRICS)
    method: Method = Field("sequential", description="`fixed` answers once, at the planned size.")
    alpha: float | None = Field(None, ge=1e-6, le=0.2, description="As in the settings unless given.")
    power: float | None = Field(None, ge=0.5, le=0.99, description="Likewise.")
    longest_days: float | None = Field(None, gt=0, le=3650, description="Likewise.")
    least_subjects: int | None = Field(None, ge=2, description="Of each arm; likewise.")
    window_seconds: float = Field(
        0.0, ge=0, description="How long after a subject's first request values count; 0: the first request alone."
    )
    subjects_a_day: float | None = Field(None, gt=0, description="New subjects; from past predictions unless given.")


class Start(BaseModel, extra="forbid"):
    """How a draft is started."""

    force: bool = Field(False, description="Also one that could not end within its longest duration.")


class Word(BaseModel, extra="forbid"):
    """Why somebody stops an experiment."""

    reason: Reason


class DecisionRequest(BaseModel, extra="forbid"):
    """What people make of an experiment."""

    decision: Literal["ship", "roll back"]
    arm: str = Field("", max_length=32, description="The arm to ship.")
    reason: Reason


class OutcomeRequest(BaseModel, extra="forbid"):
    """What came of a subject."""

    subject: str = Field(min_length=1, max_length=256, description="As in `X-Subject-Id`; kept as a keyed hash alone.")
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="The metric's source is `outcome.` and this.")
    value: float = Field(
        1.0,
        ge=-MOST_VALUE,
        le=MOST_VALUE,
        allow_inf_nan=False,
        description="In a unit in which it is no larger: sums of squares must stay what a double can tell.",
    )
    time: AwareDatetime | None = Field(
        None, description="When; now unless given. With it, sending the same again changes nothing."
    )


class OutcomesRequest(BaseModel, extra="forbid"):
    """What came of some subjects."""

    outcomes: list[OutcomeRequest] = Field(min_length=1, max_length=MOST_OUTCOMES)


class Taken(BaseModel):
    """How many outcomes are new."""

    taken: int


class ExperimentView(BaseModel):
    """An experiment as it stands."""

    id: str
    endpoint: str
    model: str
    state: str = Field(json_schema_extra={"enum": list(STATES)})
    sentence: str = Field(description="The answer in a sentence, as far as there is one.")
    arms: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    method: str
    alpha: float
    power: float
    longest_days: float
    window_seconds: float
    least_subjects: int
    needs: dict[str, Any] = Field(description="Subjects and days, computed before the start; `days` null: for ever.")
    requested_by: str
    reason: str
    created: datetime
    started: datetime | None
    began: datetime | None = Field(description="When the traffic was split.")
    stopped: datetime | None
    looked: datetime | None = Field(description="When it was last looked at.")
    note: str = Field(description="What it waits for.")
    why_stopped: str
    decision: str
    arm: str = Field(description="The arm that people decided to ship.")
    forced: bool
    look: dict[str, Any] | None = Field(description="The last look: answer, health and findings.")

    @classmethod
    def of(cls, experiment: Experiment) -> Self:
        """Return what is told of an experiment."""
        plan = experiment.plan
        return cls(
            id=experiment.identity,
            endpoint=plan.endpoint,
            model=plan.model,
            state=experiment.state,
            sentence=sentence_of(experiment),
            arms=[{name: getattr(each, name) for name in Arm.__slots__} for each in plan.arms],
            metrics=[{name: getattr(each, name) for name in Metric.__slots__} for each in plan.metrics],
            method=plan.method,
            alpha=plan.alpha,
            power=plan.power,
            longest_days=plan.longest_seconds / 86400,
            window_seconds=plan.window_seconds,
            least_subjects=plan.least_subjects,
            needs=dict(needs_told(experiment.needs)),
            requested_by=experiment.requested_by,
            reason=experiment.reason,
            created=datetime.fromtimestamp(experiment.created, UTC),
            started=_time(experiment.started),
            began=_time(experiment.began),
            stopped=_time(experiment.stopped),
            looked=_time(experiment.looked),
            note=experiment.note,
            why_stopped=experiment.why_stopped,
            decision=experiment.decision,
            arm=experiment.arm,
            forced=experiment.forced,
            look=dict(experiment.look) or None,
        )


class ExperimentList(BaseModel):
    """The newest experiments, newest first."""

    experiments: list[ExperimentView]


def sentence_of(experiment: Experiment) -> str:
    """Return the answer to an experiment in a sentence, or why there is none yet."""
    is_over = experiment.state in (STOPPED, DECIDED)
    if is_over and experiment.look.get("answer", "wait") == "wait":
        return "It was stopped before anything was certain."
    if "sentence" in experiment.look:
        return str(experiment.look["sentence"])
    if experiment.state == DRAFT:
        return "It has not been started."
    return f"There is no look at it yet{f': {experiment.note}' if experiment.note else ''}."


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
