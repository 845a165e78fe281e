"""Who gets which variant: a keyed hash of a subject, so that all replicas agree and nobody changes sides by himself."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from math import ceil, nextafter
from typing import Final

from mlops.rollout.traffic import Split, Variant

SALTS: Final = 256
"""Salts whose keys are remembered."""
BITS: Final = 53
"""As many as a float holds, so that no place rounds up to 1."""
ROUNDING: Final = 1e-9


def place(subject: str, salt: str) -> float:
    """Return where in [0, 1) a subject stands: BLAKE2b (RFC 7693) of it under the salt as a key, as a fraction."""
    digest = blake2b(subject.encode(), digest_size=8, key=_key(salt)).digest()
    return (int.from_bytes(digest) >> (64 - BITS)) / float(1 << BITS)


@lru_cache(SALTS)
def _key(salt: str) -> bytes:
    return blake2b(salt.encode(), digest_size=32).digest()


def choose(split: Split, subject: str, replica: str = "") -> Variant:
    """Return the variant that answers a subject.

    The same subject gets the same variant as long as weights stay, and keeps a variant whose weight grows: the other
    variants fill [0, 1) from below in their order, and the champion has the rest. A variant of weight 0 gets nobody.

    Args:
        split: How traffic is split.
        subject: Whoever is to get the same variant each time; any text.
        replica: Who asks, for a split that goes by replica.
    """
    rolling = split.rolling is not None
    where = place(replica if rolling else subject, split.salt)
    upto = 0.0
    for variant in split.variants[1:]:
        if variant.shadow:
            continue
        upto += (split.rolling or 0.0) if rolling else variant.weight
        if where < upto:
            return variant
    return split.champion


def among(split: Split, replicas: AbstractSet[str], standing: Split | None) -> Split:
    """Return a split whose share of the replicas is made the place below which so many of them stand, rounded up.

    Within a step the place stays: if a replica falls over the candidate, the next one is not to follow it. From step to
    step it only grows, so that no replica changes back.

    Args:
        split: What a release wants; one that goes by subject stays as it is.
        replicas: Names of those that live. While there are none, none changes over, but for a share of 1.
        standing: The split that holds now, if there is one.
    """
    if split.rolling is None:
        return split
    before = standing.rolling or 0.0 if standing is not None and standing.release == split.release else 0.0
    if before and standing is not None and standing.variants == split.variants:
        return replace(split, rolling=before)
    return replace(split, rolling=max(before, _bound(split.rolling, split.salt, replicas)))


def _bound(share: float, salt: str, replicas: AbstractSet[str]) -> float:
    if share >= 1 or not replicas:
        return float(share >= 1)
    places = sorted(place(name, salt) for name in replicas)
    # A share such as 0.7 of 10 is 7, and not a little more.
    count = ceil(share * len(places) - ROUNDING)
    return nextafter(places[max(1, count) - 1], 1.0)
