"""The models that find faces, as they come from verified bundles, and the policies that variants may have."""

import logging

from masking.defaults import check_face_defaults
from masking.face.loading import LoadedModel, load_model
from mlops.registry.bundle import Bundle
from mlops.rollout.traffic import Variant

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
    """Raise PolicyError where a variant's policy cannot be used."""
    check_face_defaults(variant.policy)
