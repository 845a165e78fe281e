"""What a codec hands over before colour and orientation are settled, and the notes that a report may carry."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from masking.types import Pixels

Colour = Literal["grey", "rgb", "cmyk"]


class Note(StrEnum):
    """What was changed or left out on the way, for the report; machine-readable and never quoting the input."""

    METADATA_DROPPED = "metadata_dropped"
    ORIENTATION_APPLIED = "orientation_applied"
    EXTRA_PICTURES_DROPPED = "extra_pictures_dropped"
    TRAILING_DATA_DROPPED = "trailing_data_dropped"
    PALETTE_EXPANDED = "palette_expanded"
    BIT_DEPTH_EXPANDED = "bit_depth_expanded"
    ICC_CONVERTED_TO_SRGB = "icc_converted_to_srgb"
    ICC_CONVERTED_AT_8_BIT = "icc_converted_at_8_bit"
    ICC_UNUSABLE_DROPPED = "icc_unusable_dropped"
    CMYK_CONVERTED_TO_SRGB = "cmyk_converted_to_srgb"
    GAMMA_DROPPED = "gamma_dropped"
    CICP_DROPPED = "cicp_dropped"
    WHOLE_PICTURE_RECODED = "whole_picture_recoded"


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One picture as its file stores it: not yet upright, in the colours of its own profile.

    Attributes:
        pixels: (h, w) grey, (h, w, 2) grey and alpha, (h, w, 3) RGB, (h, w, 4) RGBA, or CMYK where ``colour`` says so
            (255 is full ink); uint8 or uint16.
        colour: what the channels mean, alpha aside.
        orientation: the EXIF orientation, 1 to 8.
        icc: the embedded colour profile; empty where one is there but cannot be read, None where there is none.
        notes: what the codec left out.
    """

    pixels: Pixels
    colour: Colour
    orientation: int
    icc: bytes | None
    notes: tuple[Note, ...]
