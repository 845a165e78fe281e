"""The policy of a variant: what it says holds where a request says nothing."""

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from masking.errors import PolicyError
from masking.policy import Policy
from masking.voice.policy import VoicePolicy
from mlops.rollout.traffic import Variant

P = TypeVar("P", Policy, VoicePolicy)


def with_variant(policy: P, variant: Variant, given: Collection[str]) -> P:
    """Return a policy with a variant's own laid over, less what was asked for by name and what does not go with it.

    Args:
        policy: What the request asks for, defaults filled in.
        variant: Whose policy is laid over it.
        given: Names of what the request itself says.
    """
    wished = {name: value for name, value in variant.policy.items() if name not in given}
    try:
        return replace(policy, **wished) if wished else policy
    except PolicyError:
        return policy
