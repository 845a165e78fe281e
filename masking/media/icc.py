"""Colour profiles (ICC.1): a known standard one stays, pixels under any other are converted to sRGB."""

import hashlib
import io
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from masking.media.decoded import Colour, Note
from masking.types import Pixels

MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024

# A profile can tell a device, an owner or a date. Only these, byte for byte, say nothing of whoever made the picture.
# Each digest was computed from a file that carries the profile. SHA-256: name, and the pixels that it is for.
KNOWN_PROFILES: Final[dict[str, tuple[str, Colour]]] = {
    "2b3aa1645779a9e634744faf9b01e9102b0c9b88fd6deced7934df86b949af7e": ("HP sRGB IEC61966-2.1", "rgb"),
    # The same with relative colorimetric as its intent, as Adobe and Apple programs embed it.
    "3f6d674174f3804eb0dabdac90ae17486e898c5063a66f861c116ea033da8301": ("HP sRGB IEC61966-2.1, relative", "rgb"),
    "c4c1153168e817be61a676e403c370ce2c485a6bd54fbb59c3850845cfefad00": ("ICC sRGB black scaled 2009", "rgb"),
    "384b832de3412066743b52a75ee906b6fb9fb8d9e09e936fc2c43223815c6e0a": ("ICC sRGB2014", "rgb"),
    "83174717332326ddc198d9df188a4daec27b8979ba152cebbfc470c793d0bb11": ("ICC sRGB v4 preference beta", "rgb"),
    "33c34ecfeb998459e0075ba26a0f1ea5042e20e2419c5962e495eba3208576f2": ("Google sRGB 2016", "rgb"),
    "be1eccdf7ba1b4c2b13dae337d96b87040fc9206d2d388f7fbed8187cf2c5a6c": ("Google sRGB 2022", "rgb"),
    "2e2fd04e0c28295bdd854a04a640a2c95b9950e73d25b48d157f7e27fb6e8c6b": ("Google sRGB 2023", "rgb"),
    "cbc24bdec8bc4a41cb3e2a8381adfa90a0a9b6f25791cf54c75d4476f6786f43": ("Google Display P3 2016", "rgb"),
    "20789fdbea9835251a4f0796c8bf45cbd964896044886540da21ffc7457af0ab": ("Apple Display P3 2022", "rgb"),
    "e5f6ffb83b6d3491301dd750975684cc5cc2a1951c994a14b08cfdaa0d75a041": ("Adobe RGB (1998)", "rgb"),
    "fbb693766d2e553f7ba42a04d1db2a7cd2c8a97475eca8b0fa30d8e294e4fb6d": ("Adobe Gray Gamma 2.2", "grey"),
    "36e45d8233e46507c30d93d594d3a1310cc9438cd5bb2b86ffea8a52e5dd9d18": ("Adobe Dot Gain 20%", "grey"),
}

_SPACES: Final[dict[Colour, tuple[str, str]]] = {
    "grey": ("GRAY", "L"),
    "rgb": ("RGB ", "RGB"),
    "cmyk": ("CMYK", "CMYK"),
}
_INKS: Final[dict[Colour, int]] = {"grey": 1, "rgb": 3, "cmyk": 4}
# Display, output, input and conversion profiles; links, abstract and named-colour ones describe no picture.
_CLASSES: Final = frozenset({"mntr", "prtr", "scnr", "spac"})


def settle(pixels: Pixels, colour: Colour, profile: bytes | None) -> tuple[Pixels, bytes | None, tuple[Note, ...]]:
    """Bring pixels under a profile that may leave: a known standard one, or none, which means sRGB.

    Args:
        pixels: (h, w), (h, w, 2), (h, w, 3) or (h, w, 4), uint8 or uint16; CMYK as 255 for full ink.
        colour: what the channels mean, alpha aside.
        profile: what the file embeds; empty where it could not be read.

    Returns:
        The pixels (CMYK as RGB), the profile to embed, and what was done. Relative colorimetric with black point
        compensation; pixels of 16 bits keep their depth, but their conversion has the precision of 8.
    """
    if profile is not None:
        digest = hashlib.sha256(profile).hexdigest()
        if KNOWN_PROFILES.get(digest, ("", None))[1] == colour:
            return pixels, profile, ()
        converted = _convert(pixels, colour, profile)
        if converted is not None:
            return converted, None, _converted_notes(pixels, colour)
    notes = (Note.ICC_UNUSABLE_DROPPED,) if profile is not None else ()
    if colour == "cmyk":
        plain = Image.fromarray(pixels, "CMYK").convert("RGB")
        return np.array(plain), None, (*notes, Note.CMYK_CONVERTED_TO_SRGB)
    return pixels, None, notes


def _converted_notes(pixels: Pixels, colour: Colour) -> tuple[Note, ...]:
    if colour == "cmyk":
        return (Note.ICC_CONVERTED_TO_SRGB, Note.CMYK_CONVERTED_TO_SRGB)
    if pixels.dtype == np.uint16:
        return (Note.ICC_CONVERTED_TO_SRGB, Note.ICC_CONVERTED_AT_8_BIT)
    return (Note.ICC_CONVERTED_TO_SRGB,)


def _convert(pixels: Pixels, colour: Colour, profile: bytes) -> Pixels | None:
    """Convert to sRGB, alpha untouched; None where the profile is broken or is not one for these pixels."""
    transform = _transform(colour, profile)
    if transform is None:
        return None
    planes = cast(Pixels, np.atleast_3d(pixels))
    space, alpha = planes[..., : _INKS[colour]], planes[..., _INKS[colour] :]
    try:
        image = Image.fromarray(_as_8_bit(space[..., 0] if colour == "grey" else space), _SPACES[colour][1])
        converted: Pixels = np.array(transform.apply(image))
    except (ImageCms.PyCMSError, ValueError, OSError):
        return None
    if colour == "cmyk":
        return converted
    if colour == "grey":
        converted = converted[..., 1:2]
    if pixels.dtype == np.uint16:
        converted = converted.astype(np.uint16) * 257
    return cast(Pixels, np.concatenate((converted, alpha), axis=2).reshape(pixels.shape))


def _as_8_bit(pixels: Pixels) -> NDArray[np.uint8]:
    return pixels.astype(np.uint8, copy=False) if pixels.itemsize == 1 else (pixels >> 8).astype(np.uint8)


def _transform(colour: Colour, profile: bytes) -> ImageCms.ImageCmsTransform | None:
    space, mode = _SPACES[colour]
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != space or source.profile.device_class not in _CLASSES:
            return None
        return ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, ValueError, OSError):
        return None
