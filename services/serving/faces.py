"""The models that find faces, as they come from verified bundles, and the policies that variants may have."""

import logging
from typing import Final

from masking.errors import PolicyError
from masking.face.loading import LoadedModel, load_model
from masking.policy import Policy
from mlops.registry.bundle import Bundle
from mlops.rollout.traffic import Variant

POLICY: Final = frozenset({"style", "threshold", "search", "tone"})
"""What a variant's policy may say: it is the default where a request says nothing."""
log = logging.getLogger(__name__)


def load_faces(bundle: Bundle) -> LoadedModel:
    """Return the tested model of faces of a verified bundle.

    Raises:
        ModelError: No graph of it passes.
    """
    model = load_model(bundle, threads=1)
    for precision, fault in model.refused.items():
        log.warning("graph refused", extra={"version": model.version, "precision": precision, "fault": fault})
    return model


def check_faces(variant: Variant) -> None:
    """Raise PolicyError where a variant's policy names what is no part of one, or a value out of range."""
    if variant.policy.keys() - POLICY:
        raise PolicyError(f"a variant's policy may say {', '.join(sorted(POLICY))}")
    Policy(**variant.policy)
