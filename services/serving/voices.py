"""The model of voices that serves, with the figures that were measured of it."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import JsonValue, TypeAdapter, ValidationError

from masking.defaults import check_voice_defaults
from masking.voice.loading import VoiceModel, load_voice
from mlops.registry.bundle import Bundle
from mlops.rollout.traffic import Variant

Figures = Mapping[str, Mapping[str, JsonValue]]
"""Figures by style, then by name; they may nest."""
_FIGURES: Final[TypeAdapter[Figures]] = TypeAdapter(Figures)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Voices:
    """What masks voices.

    Attributes:
        model: The model.
        figures: What was measured of it; nothing where its bundle has no such file.
    """

    model: VoiceModel
    figures: Figures = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the registered model."""
        return self.model.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.model.version

    @property
    def precision(self) -> str:
        """Which of its graphs is used."""
        return self.model.precision

    @property
    def bundle(self) -> str:
        """Digest of its files."""
        return self.model.bundle


def load_voices(bundle: Bundle) -> Voices:
    """Return the tested model of voices of a verified bundle.

    Raises:
        ModelError: It does not pass.
    """
    return Voices(load_voice(bundle, threads=1), read_figures(bundle.figures))


def check_voices(variant: Variant) -> None:
    """Raise PolicyError where a variant's policy cannot be used."""
    check_voice_defaults(variant.policy)


def read_figures(path: Path | None) -> Figures:
    """Read the figures that lie in a bundle; what cannot be read is none, and said so in the log."""
    if path is None:
        return {}
    try:
        return _FIGURES.validate_python(json.loads(path.read_bytes(), parse_constant=_refused))
    except (OSError, ValueError, ValidationError):
        log.warning("the figures of a voice model cannot be read")
        return {}


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no figure")
