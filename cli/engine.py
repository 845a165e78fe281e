"""What every command that looks for faces needs: the champion and the limits, whatever folder the user stands in."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.faults import NotInstalledError
from masking.face.loading import LoadedModel, load_model
from masking.media.probe import ImageLimits
from masking.media.video import VideoLimits
from mlops.registry.bundle import BundleError, current
from mlops.settings import Settings, load_settings

ROOT: Final = Path(__file__).resolve().parent.parent
"""Relative paths of the settings are taken from here, those of the command line from where the user stands."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A model that is ready, and the largest photos and videos that are taken."""

    model: LoadedModel
    images: ImageLimits
    videos: VideoLimits


def start_engine(settings: Settings | None = None, threads: int = 1) -> Engine:
    """Open the champion.

    Args:
        settings: The settings tree; read unless given.
        threads: Threads within one inference.

    Raises:
        NotInstalledError: None is installed, or the one that is, is damaged.
        ModelError: It does not give its golden outputs on this machine.
        InvalidSettings: The settings are wrong.
    """
    settings = settings or load_settings()
    try:
        bundle = current(ROOT / settings.registry.bundles_path, settings.registry.model)
    except BundleError as error:
        raise NotInstalledError(f"the installed model is damaged ({error}): run `make repro` in {ROOT}") from error
    if bundle is None:
        raise NotInstalledError(f"no model is installed: run `make repro` in {ROOT} once")
    limits = settings.limits
    return Engine(
        load_model(bundle, threads),
        ImageLimits(limits.image_bytes, limits.image_pixels, limits.image_side),
        VideoLimits(limits.video_bytes, limits.video_pixels, limits.video_side, limits.video_seconds),
    )


def cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
