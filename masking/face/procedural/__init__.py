"""Procedural faces: people who do not exist, drawn from numbers alone, with exact boxes and landmarks."""

from masking.face.procedural.identity import Capture, Identity
from masking.face.procedural.rendering import Rendered, locate, render
from masking.face.procedural.scene import CONDITIONS, Placed, Scene, mosaic, portrait

__all__ = ["CONDITIONS", "Capture", "Identity", "Placed", "Rendered", "Scene", "locate", "mosaic", "portrait", "render"]
