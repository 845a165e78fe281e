"""The detectors a model bundle can name, by architecture."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from masking.face.detectors.centerface import CenterFace, Session
from masking.types import Faces


class Detector(Protocol):
    """Finds the faces of one picture; safe to call from several threads at once."""

    def __call__(self, pixels: NDArray[np.uint8], threshold: float) -> Faces:
        """Find the faces in (h, w, 3) uint8 RGB that score at least ``threshold``.

        Raises:
            ModelError: The model failed; there is no answer to rely on.
        """


DETECTORS: Mapping[str, Callable[[Session], Detector]] = MappingProxyType({"centerface": CenterFace})
