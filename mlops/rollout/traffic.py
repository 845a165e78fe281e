"""Who gets which version: the split of an endpoint's traffic, as a local file beside the bundles.

    <root>/<model>/champion.json   the champion (mlops.registry.bundle)
    <root>/<model>/traffic.json    the split, while a release or an experiment runs

The worker writes it, serving reads it: neither registry nor database is on the way of a request. A split holds only as
long as the champion that it was made against is champion: who promotes a version, or rolls one back, moves one pointer,
and no order of two writes can send traffic elsewhere.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isclose
from pathlib import Path
from typing import Any, Final, Self

from mlops import folders
from mlops.registry.bundle import installed, pointer_stamp

FILE: Final = "traffic.json"
SCHEMA: Final = 1
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"


class SplitError(Exception):
    """The file with the split is damaged, or the split makes no sense."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A version with a policy and a share of the traffic.

    Attributes:
        name: ``champion``, ``challenger``, or an arm of an experiment.
        version: Version of the registered model.
        digest: SHA-256 of its bundle's manifest, hex.
        weight: Share of the subjects, in [0, 1].
        shadow: Whether it gets copies of requests and never answers; its weight is 0.
        policy: Defaults of the endpoint that are others for this variant, such as ``{"threshold": 0.3}``.
    """

    name: str
    version: str
    digest: str
    weight: float
    shadow: bool = False
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split:
    """How an endpoint's traffic is split.

    Attributes:
        model: Name of the registered model.
        variants: The first is the champion; weights of those that answer sum to 1.
        salt: What subjects are hashed with; another salt is another draw.
        release: Id of the release that made it; empty for none.
        experiment: Id of the experiment that made it; empty for none.
        rolling: Place in [0, 1] below which replicas give the challenger everything; None where it goes by subject.

    Raises:
        SplitError: Weights do not sum to 1, a name comes twice, or a shadow has a weight.
    """

    model: str
    variants: tuple[Variant, ...]
    salt: str = ""
    release: str = ""
    experiment: str = ""
    rolling: float | None = None

    def __post_init__(self) -> None:
        if not self.variants or len({each.name for each in self.variants}) != len(self.variants):
            raise SplitError("a split has variants, each with a name of its own")
        if any(each.shadow and each.weight for each in self.variants):
            raise SplitError("a shadow never answers, so it has no weight")
        if any(not 0 <= each.weight <= 1 for each in self.variants):
            raise SplitError("a weight is a share, from 0 to 1")
        if not isclose(sum(each.weight for each in self.variants), 1, abs_tol=1e-6):
            raise SplitError("the weights must sum to 1")

    @classmethod
    def whole(cls, model: str, version: str, digest: str) -> Self:
        """Return the split that gives a champion everything."""
        return cls(model, (Variant(CHAMPION, version, digest, 1.0),))

    @property
    def champion(self) -> Variant:
        """The variant that everything falls back to."""
        return self.variants[0]

    def named(self, name: str) -> Variant | None:
        """Return the variant of that name that may answer, if there is one."""
        return next((each for each in self.variants if each.name == name and not each.shadow), None)


def effective(root: Path, model: str) -> Split | None:
    """Return the split that holds now; None where there is no champion yet.

    Raises:
        SplitError: The file is damaged.
        BundleError: The pointer to the champion is.
    """
    champion = installed(root, model)
    if champion is None:
        return None
    split = read_split(root, model)
    if split is None or (split.champion.version, split.champion.digest) != champion:
        return Split.whole(model, *champion)
    return split


def stamp(root: Path, model: str) -> str | None:
    """Give a text that changes whenever the effective split may, for polling; None where there is no champion."""
    pointer = pointer_stamp(root, model)
    if pointer is None:
        return None
    return f"{pointer}/{folders.stamp(root / model / FILE)}"


def read_split(root: Path, model: str) -> Split | None:
    """Return the split in the file, which may not hold any more; None where there is no file.

    Raises:
        SplitError: It is damaged.
    """
    try:
        read = json.loads((root / model / FILE).read_text(encoding="utf-8"))
        if read.pop("schema") != SCHEMA:
            raise SplitError(f"only splits of schema {SCHEMA} are known here")
        return Split(**read | {"variants": tuple(Variant(**each) for each in read["variants"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SplitError(f"the split of {model} cannot be read: {error}") from error


def write_split(root: Path, split: Split) -> None:
    """Put a split in place, all of it or nothing."""
    folders.write_whole(root / split.model / FILE, json.dumps({"schema": SCHEMA, **asdict(split)}, indent=2) + "\n")


def remove_split(root: Path, model: str) -> None:
    """Give the champion everything again."""
    (root / model / FILE).unlink(missing_ok=True)
