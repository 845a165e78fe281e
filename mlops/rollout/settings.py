"""The settings of releases."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from mlops.sections import Names, Section, Shares

Share = Annotated[float, Field(ge=0, le=1)]
Quantile = Annotated[float, Field(gt=0, lt=1)]


class RolloutSettings(Section):
    """Releases, and who must approve of them."""

    tick_seconds: PositiveFloat
    """Seconds between two looks at the releases that run."""
    approvals_low: NonNegativeInt
    """People who must approve of a release of low risk."""
    approvals_medium: NonNegativeInt
    """People who must approve of a release of medium risk."""
    approvals_high: NonNegativeInt
    """People who must approve of a release of high risk."""
    approval_seconds: PositiveFloat
    """Seconds after which a request for approval is void."""
    prepare_seconds: PositiveFloat
    """Longest time for a candidate's bundle to arrive; then the release has failed."""
    step_seconds: NonNegativeFloat
    """Seconds that a step lasts at least."""
    step_requests: PositiveInt
    """Requests that the candidate must have answered in a step before it may pass."""
    hold_seconds: PositiveFloat
    """Longest time that a step holds after it was due, since figures are missing or in doubt."""
    hold_ends: Literal["rollback", "pause"]
    """What becomes of a release that has held so long."""
    canary_weights: Shares
    """Shares of the subjects that a canary's candidate gets, step by step; then it is promoted."""
    rolling_shares: Shares
    """Shares of the replicas that change over, rounded up, step by step; then the candidate is promoted."""
    challenger_weight: Quantile
    """Share of the subjects that a challenger gets."""
    guard_seconds: PositiveFloat
    """Seconds between two looks of the guard at the figures of a release."""
    guard_window_seconds: PositiveFloat
    """Length of the window that the guard looks for faults in; a step passes on all of its time."""
    guard_minimum_judged: NonNegativeInt
    """Judged face-frames of each variant without which no step of the endpoint of faces passes; 0 for no such."""
    guard_error_increase: Share
    """Share of failed requests beyond the baseline's that is borne."""
    guard_latency_ratio: Annotated[float, Field(ge=1)]
    """Times the baseline's latency that is borne."""
    guard_latency_quantile: Quantile
    """Quantile at which latency is compared."""
    guard_open_increase: Share
    """Share of open face-frames beyond the baseline's that is borne."""
    guard_detection_drop: Share
    """Share of the baseline's faces a picture that may be missing."""
    guard_utility_drop: Share
    """Share of the baseline's utility that may be missing."""
    guard_utility_endpoints: Names
    """Endpoints whose utility is compared; of generic models it is how sure they are, which says little of how good."""
    guard_significance: Quantile
    """Chance below which a difference is called a fault, at each of many looks."""
    guard_open_significance: Quantile
    """The same for open face-frames, of which there are few."""
