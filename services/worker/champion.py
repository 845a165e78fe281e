"""The model that masks, as it lies in the folder of bundles; loaded again when another becomes champion."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from masking.errors import ModelError
from mlops.registry.bundle import Bundle, BundleError, current, pointer_stamp

M = TypeVar("M")


class Champion(Generic[M]):
    """The champion of one registered model.

    Args:
        root: Folder of the bundles.
        name: Name of the registered model.
        load: Opens and tests a bundle; raises ModelError.
    """

    def __init__(self, root: Path, name: str, load: Callable[[Bundle], M]) -> None:
        self._root = root
        self._name = name
        self._load = load
        self._loading = threading.Lock()
        self._loaded: tuple[str, M] | None = None

    def model(self) -> M:
        """Return the champion.

        Raises:
            ModelError: There is none, or it does not pass its tests.
        """
        with self._loading:
            stamp = pointer_stamp(self._root, self._name)
            if self._loaded is None or self._loaded[0] != stamp:
                try:
                    bundle = current(self._root, self._name)
                except BundleError as error:
                    raise ModelError(f"the bundle of the champion of {self._name} is damaged") from error
                if bundle is None or stamp is None:
                    raise ModelError(f"there is no champion of {self._name} yet")
                self._loaded = stamp, self._load(bundle)
            return self._loaded[1]
