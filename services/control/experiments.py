"""``/v1/experiments``: what people want to find out of live traffic; the worker does it, and says what it found."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.exceptions import HTTPException

from mlops.experiments import state
from mlops.experiments.observations import Outcome
from mlops.experiments.plan import PlanError
from mlops.experiments.store import ExperimentStore
from mlops.predictions.subject import pseudonym, subject_key
from mlops.registry.version import NAME_PATTERN
from mlops.settings import Settings
from services.asgi.errors import ForeignOrigin, StrangeHost, UnknownEndpoint, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import described, responses
from services.control.actor import Acting
from services.control.approvals import IDENTITY
from services.control.endpoints import model_of
from services.control.experiment_planning import ExperimentPlanner
from services.control.experiment_views import (
    DecisionRequest,
    ExperimentList,
    ExperimentRequest,
    ExperimentView,
    OutcomesRequest,
    Start,
    Taken,
    Word,
)
from services.control.stores import AWAY, asked

Identity = Annotated[str, Path(description="The experiment's id.", pattern=IDENTITY)]
UNKNOWN: Final[dict[int | str, dict[str, Any]]] = {404: described("There is no such experiment, model or version.")}
MOVED: Final = {
    **UNKNOWN,
    409: described("It cannot go that way as it stands."),
    422: described("The plan makes no sense, or a parameter is not valid."),
    **responses(ForeignOrigin),
}


def experiments_router(settings: Settings, planner: ExperimentPlanner) -> APIRouter:
    """Return the routes over the store of experiments.

    Args:
        settings: The whole tree.
        planner: Makes experiments, and has their store.
    """
    store = planner.store
    router = APIRouter(
        prefix="/v1/experiments", tags=["experiments"], responses={**responses(StrangeHost, UnknownParameter), **AWAY}
    )

    @router.get("", responses=responses(UnknownEndpoint), dependencies=[Depends(only("endpoint", "most"))])
    async def experiments(
        endpoint: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
        most: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> ExperimentList:
        """List the newest experiments, newest first."""
        if endpoint is not None:
            model_of(endpoint, settings.registry)
        found = await asked(lambda: store.list(endpoint, most))
        return ExperimentList(experiments=[ExperimentView.of(each) for each in found])

    @router.post("", status_code=201, responses=MOVED, dependencies=[Depends(only())])
    async def plan_experiment(wanted: ExperimentRequest, actor: Acting) -> ExperimentView:
        """Plan an experiment: how many subjects and days it needs is computed; nothing is split yet."""
        try:
            return ExperimentView.of(await asked(lambda: planner.create(wanted, actor)))
        except PlanError as error:
            raise HTTPException(422, str(error)) from error

    @router.get("/{identity}", responses=UNKNOWN, dependencies=[Depends(only())])
    async def experiment(identity: Identity) -> ExperimentView:
        """Tell how an experiment stands: a sentence, and the numbers under it."""
        return ExperimentView.of(await asked(lambda: store.get(identity)))

    _add_moves(router, planner)
    _add_outcomes(router, store, _hashed(settings), planner.clock)
    return router


def _add_moves(router: APIRouter, planner: ExperimentPlanner) -> None:
    store = planner.store

    @router.post("/{identity}/start", responses=MOVED, dependencies=[Depends(only())])
    async def start_experiment(identity: Identity, actor: Acting, how: Start) -> ExperimentView:
        """Start a draft. One that could not end within its longest duration is refused unless it is forced.

        An arm whose version or policy asks for approvals is refused until a release of both has got them.
        """
        return ExperimentView.of(await asked(lambda: planner.start(identity, actor, how.force)))

    @router.post("/{identity}/stop", responses=MOVED, dependencies=[Depends(only())])
    async def stop_experiment(identity: Identity, actor: Acting, word: Word) -> ExperimentView:
        """Stop an experiment: the champion gets everything again."""
        why = f"{actor}: {word.reason}"
        moved = await asked(
            lambda: store.act(identity, actor, "stop", lambda each, now: state.stop(each, now, why), word.reason)
        )
        return ExperimentView.of(moved)

    @router.post("/{identity}/decide", responses=MOVED, dependencies=[Depends(only())])
    async def decide_experiment(identity: Identity, actor: Acting, made: DecisionRequest) -> ExperimentView:
        """Note what people make of a stopped experiment. To ship an arm, release its version."""
        moved = await asked(
            lambda: store.act(
                identity, actor, "decide", lambda each, _: state.decide(each, made.decision, made.arm), made.reason
            )
        )
        return ExperimentView.of(moved)


def _add_outcomes(
    router: APIRouter, store: ExperimentStore, hashed: Callable[[str], str], clock: Callable[[], float]
) -> None:
    @router.post("/{identity}/outcomes", responses=MOVED, dependencies=[Depends(only())])
    async def outcomes(identity: Identity, said: OutcomesRequest) -> Taken:
        """Tell what came of subjects, such as whether a person kept the masked picture."""

        def take() -> int:
            now = clock()
            return store.add_outcomes(
                identity,
                [
                    Outcome(each.time.timestamp() if each.time else now, hashed(each.subject), each.name, each.value)
                    for each in said.outcomes
                ],
            )

        return Taken(taken=await asked(take))


def _hashed(settings: Settings) -> Callable[[str], str]:
    @cache
    def key() -> bytes:
        return subject_key(settings.cache.read_secret(), settings.predictions.spool_path)

    return lambda subject: pseudonym(subject, key())
