"""Live masking: one JPEG frame in, one masked JPEG frame out; whatever fails, the answer is a black frame."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from masking.errors import MaskingError, UnsupportedMedia
from masking.face.cover import cover, draws
from masking.face.detectors import Detector
from masking.face.follow import Follower, FollowerSettings
from masking.face.maskers import MASKERS, Masker, masker_of
from masking.face.surrogates.tones import ToneKeeper
from masking.media.array_frame import ArrayFrame
from masking.media.image import decode
from masking.media.jpeg import MAGIC
from masking.media.probe import ImageLimits, probe
from masking.policy import Policy
from masking.video import looking

QUALITY: Final = 85
FALLBACK_SIZE: Final = (640, 360)
"""Width and height of a black frame as long as no frame has told the size."""


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """One masked frame.

    Attributes:
        jpeg: The frame to show, always: masked, or black.
        faces: How many faces are masked.
        milliseconds: Wall time from taking the frame to giving this answer.
        fault: Why the frame is black; empty if it is not.
    """

    jpeg: bytes
    faces: int
    milliseconds: float
    fault: str


class LiveMasker:
    """Masks the frames of one stream, one after the other, with the tracker that videos have.

    Args:
        policy: What is wished; ``search`` decides how hard each looked-at frame is searched.
        detector: Finds the faces.
        limits: Largest frame that is taken.
        maskers: The styles that can be had, by name.

    Raises:
        PolicyError: The style is not among the maskers.
    """

    def __init__(
        self, policy: Policy, detector: Detector, limits: ImageLimits, maskers: Mapping[str, Masker] = MASKERS
    ) -> None:
        masker_of(policy.style, maskers)
        self._policy = policy
        self._maskers = maskers
        self._detector = detector
        self._limits = limits
        self._size = FALLBACK_SIZE
        self._index = 0
        self._started = time.monotonic()
        self._follower = self._new_follower()
        self._tones = self._new_tones()

    def mask(self, jpeg: bytes) -> LiveAnswer:
        """Mask the next frame of the stream.

        Args:
            jpeg: The frame. Anything that is no JPEG within the limits, and any failure, gives a black frame.
        """
        start = time.perf_counter()
        try:
            pixels = self._decode(jpeg)
            masked, faces, fault = self._masked(pixels)
            answer = encoded(masked)
        except MaskingError as error:
            answer, faces, fault = self.black(), 0, str(error)
        except Exception:  # noqa: BLE001  # whatever it was, the raw frame must not be what is shown
            answer, faces, fault = self.black(), 0, "the frame could not be masked"
        return LiveAnswer(answer, faces, 1000 * (time.perf_counter() - start), fault)

    def black(self) -> bytes:
        """Give a black frame of the stream's size."""
        width, height = self._size
        return encoded(np.zeros((height, width, 3), np.uint8))

    def _decode(self, jpeg: bytes) -> NDArray[np.uint8]:
        if not jpeg.startswith(MAGIC):
            raise UnsupportedMedia("a live frame must be a JPEG")
        probed = probe(jpeg, self._limits)
        shown = np.asarray(decode(jpeg, probed).pixels, np.uint8)
        pixels = np.repeat(shown[..., None], 3, axis=2) if shown.ndim == 2 else shown
        size = (pixels.shape[1], pixels.shape[0])
        if size != self._size:
            self._size, self._follower, self._tones = size, self._new_follower(), self._new_tones()
        return np.ascontiguousarray(pixels)

    def _masked(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int, str]:
        frame = ArrayFrame(self._index, time.monotonic() - self._started, pixels)
        self._index += 1
        (covered,) = self._follower.feed(frame)
        if covered.doubt:
            return np.zeros_like(pixels), 0, covered.doubt
        faces = covered.faces
        numbers = draws(self._policy.key, covered.tracks)
        masked, _ = cover(pixels, faces, self._policy.style, numbers, self._maskers, self._tones)
        return np.asarray(masked, np.uint8), len(faces), ""

    def _new_follower(self) -> Follower[ArrayFrame]:
        look = looking(self._detector, self._policy.search)
        return Follower(look, FollowerSettings.live(self._policy.threshold))

    def _new_tones(self) -> ToneKeeper | None:
        """Faces are counted anew by every follower."""
        return ToneKeeper() if self._policy.tone == "keep" else None


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (h, w, 3) uint8 RGB as JPEG, 4:2:0."""
    return bytes(simplejpeg.encode_jpeg(pixels, QUALITY, "RGB", "420"))
