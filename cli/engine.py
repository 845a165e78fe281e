"""What every command needs that masks: the champions and the limits, whatever folder the user stands in."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from cli.faults import NotInstalledError
from masking.face.loading import LoadedModel, load_model
from masking.media.audio import AudioLimits
from masking.media.probe import ImageLimits
from masking.media.video import VideoLimits
from mlops.registry.bundle import Bundle, BundleError, current
from mlops.settings import Settings, load_settings

if TYPE_CHECKING:
    from masking.voice.loading import VoiceModel

ROOT: Final = Path(__file__).resolve().parent.parent
"""Relative paths of the settings are taken from here, those of the command line from where the user stands."""

_Model = TypeVar("_Model")


class Engine:
    """The models, each opened when it is first asked for, and the largest media that are taken.

    Args:
        settings: The settings tree.
        threads: Threads within one inference.

    Attributes:
        images: Largest photo.
        videos: Largest video.
        sounds: Largest sound file.
    """

    def __init__(self, settings: Settings, threads: int = 1) -> None:
        limits = settings.limits
        self.images = ImageLimits(limits.image_bytes, limits.image_pixels, limits.image_side)
        self.videos = VideoLimits(limits.video_bytes, limits.video_pixels, limits.video_side, limits.video_seconds)
        self.sounds = AudioLimits(limits.audio_bytes, limits.audio_seconds, limits.audio_channels)
        self._registry = settings.registry
        self._threads = threads
        self._lock = threading.Lock()
        self._faces: LoadedModel | None = None
        self._voices: VoiceModel | None = None

    @property
    def model(self) -> LoadedModel:
        """What finds faces.

        Raises:
            NotInstalledError: None is installed, or the one that is, is damaged.
            ModelError: It does not give its golden outputs on this machine.
        """
        with self._lock:
            self._faces = self._faces or self._opened(self._registry.model, "model", load_model)
            return self._faces

    @property
    def voice_model(self) -> "VoiceModel":
        """What masks voices. Errors as `model`."""
        from masking.voice.loading import load_voice

        with self._lock:
            self._voices = self._voices or self._opened(self._registry.voice_model, "model of voices", load_voice)
            return self._voices

    def voice_bundle(self) -> Bundle | None:
        """Give the files of what masks voices; None where none is installed, or not whole."""
        try:
            return current(ROOT / self._registry.bundles_path, self._registry.voice_model)
        except BundleError:
            return None

    def _opened(self, name: str, what: str, load: Callable[[Bundle, int], _Model]) -> _Model:
        try:
            bundle = current(ROOT / self._registry.bundles_path, name)
        except BundleError as error:
            raise NotInstalledError(f"the installed {what} is damaged ({error}): run `make repro` in {ROOT}") from error
        if bundle is None:
            raise NotInstalledError(f"no {what} is installed: run `make run` or `make repro` in {ROOT} once")
        return load(bundle, self._threads)


def start_engine(settings: Settings | None = None, threads: int = 1) -> Engine:
    """Give what opens the champions when they are asked for.

    Args:
        settings: The settings tree; read unless given.
        threads: Threads within one inference.

    Raises:
        InvalidSettings: The settings are wrong.
    """
    return Engine(settings or load_settings(), threads)


def cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
