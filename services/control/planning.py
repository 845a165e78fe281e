"""From what somebody asks for to a release: versions are looked up, risk decides who must approve."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from mlops.registry.bundle import BundleError, installed
from mlops.rollout.approvals import Approval, needed
from mlops.rollout.state import IllegalMove, Release, Step
from mlops.rollout.store import ReleaseStore, new_identity
from mlops.rollout.strategies import MOST_STEPS, Wish, plan
from mlops.settings import Settings
from services.control.endpoints import EndpointName, check_policy, model_of
from services.control.lookup import Lookup
from services.control.risk import RISK_TAG, policy_risk, risk_of
from services.control.views import Reason, StepView


class ReleaseRequest(BaseModel, extra="forbid"):
    """What is to be released, and how."""

    endpoint: EndpointName
    version: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            description="Number of a registered version, one of its aliases, or `newest`.",
        ),
    ]
    strategy: Literal["blue-green", "canary", "rolling", "shadow", "champion-challenger"] = "canary"
    reason: Reason
    risk: Annotated[
        Literal["low", "medium", "high"] | None,
        Field(
            description=f"How much can go wrong; the version's tag `{RISK_TAG}` and its policy may say that it is more."
        ),
    ] = None
    steps: Annotated[list[StepView], Field(max_length=MOST_STEPS, description="None for those of the settings.")] = []
    policy: Annotated[dict[str, Any], Field(description="Defaults of the endpoint that are others for it.")] = {}


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes releases of what people ask for. It blocks: the registry, the database and the folder of bundles are asked.

    Attributes:
        settings: The whole tree.
        store: Where releases go.
        lookup: How the registry is asked.
        clock: Seconds since the epoch.
    """

    settings: Settings
    store: ReleaseStore
    lookup: Lookup
    clock: Callable[[], float] = time.time

    def create(self, wanted: ReleaseRequest, actor: str) -> tuple[Release, Approval | None]:
        """Add the release that somebody asks for, with the request for approval that it needs.

        Raises:
            UnknownEndpoint: It is the name of a model that masks.
            UnknownVersion: The registry has no such model or version.
            PolicyError: The endpoint cannot serve by that policy.
            IllegalMove: It makes no sense, or there is no champion to release against.
        """
        model = model_of(wanted.endpoint, self.settings.registry)
        check_policy(wanted.endpoint, wanted.policy)
        candidate = self.lookup.resolve(model, wanted.version)
        wish = Wish(
            endpoint=wanted.endpoint,
            model=model,
            strategy=wanted.strategy,
            candidate=(candidate.version, candidate.digest),
            baseline=self._baseline(model),
            risk=risk_of(wanted.risk, candidate.tags, policy_risk(wanted.endpoint, wanted.policy, self.settings)),
            requested_by=actor,
            reason=wanted.reason,
            steps=[_step(each) for each in wanted.steps],
            policy=wanted.policy,
        )
        rules = self.settings.rollout
        planned = plan(new_identity(), wish, rules, self.clock())
        return self.store.create(planned, needed(wish.risk, rules), rules.approval_seconds)

    def check_back(self, release: Release) -> None:
        """Raise IllegalMove where neither version of a release that succeeded serves any more.

        A later release is known to the store, but not that somebody moved the registry's alias by hand.
        """
        serves = self._serves(release.model)
        ours = ((release.candidate, release.candidate_digest), (release.baseline, release.baseline_digest))
        if serves is not None and serves not in ours:
            raise IllegalMove(
                f"the champion was changed since, by hand or by a later release: version {serves[0]} serves, and not "
                f"version {release.candidate}; start a release of the version that is to serve"
            )

    def _serves(self, model: str) -> tuple[str, str] | None:
        try:
            return installed(self.settings.registry.bundles_path, model)
        except BundleError as error:
            raise IllegalMove(f"nobody can say which version of {model} serves: {error}") from error

    def _baseline(self, model: str) -> tuple[str, str]:
        """Give version and digest of what serves, which the registry may not know yet, or think otherwise of."""
        baseline = self._serves(model)
        if baseline is None:
            raise IllegalMove(
                f"{model} has no champion to release against; make the first one by hand: "
                f"make champion MODEL={model} VERSION=1"
            )
        return baseline


def _step(view: StepView) -> Step:
    return Step(view.weight, inf if view.seconds is None else view.seconds, view.minimum)
