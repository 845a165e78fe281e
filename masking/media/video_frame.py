"""One frame of a video with the samples that the decoder gave, looked at upright and painted in place."""

import threading
from dataclasses import dataclass, field
from typing import TypeVar, cast

import cv2
import numpy as np
from av import VideoFrame as Picture
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from masking.media.video_aperture import Aperture
from masking.media.video_colour import Colour
from masking.media.video_layout import Layout, empty_like
from masking.media.video_turn import Turn

_Plane = NDArray[np.uint8] | NDArray[np.uint16]
_BAND = 1 << 16
"""Samples that are set at once."""
_Value = TypeVar("_Value", np.float32, np.bool_)


@dataclass(frozen=True, slots=True)
class View:
    """What the frames of one video share: how they lie in memory, how they are turned, what their colours mean.

    Attributes:
        scalers: what each thread scales with, by size; setting up a scaler costs more than using it.
    """

    layout: Layout
    turn: Turn
    colour: Colour
    scalers: threading.local = field(default_factory=threading.local, repr=False)

    def scaler(self, width: int, height: int) -> VideoReformatter:
        """Find this thread's scaler to width x height."""
        made: dict[tuple[int, int], VideoReformatter] = self.scalers.__dict__.setdefault("made", {})
        return made.setdefault((width, height), VideoReformatter())


class VideoFrame:
    """A decoded frame (a ``masking.media.frame.Frame``), native samples kept.

    The decoder's samples are never written to while it still predicts from them: the first painting copies them then.
    So does ``put`` in any case, and what ``luma`` or ``unpainted`` gave before keeps showing the frame as it was; after
    ``fill``, only what ``unpainted`` gave does.

    Attributes:
        index: number from 0 in the order of presentation.
        seconds: time of presentation from the first frame.
    """

    def __init__(self, picture: Picture, view: View, index: int, seconds: float) -> None:
        self.index = index
        self.seconds = seconds
        self.view = view
        self._picture = picture
        self._painted = False
        self._seen_elsewhere = False
        self._lock = threading.Lock()
        self.width, self.height = view.turn.size(picture.width, picture.height)

    @property
    def picture(self) -> Picture:
        """The samples as they are stored, with what was painted."""
        return self._picture

    @property
    def is_painted(self) -> bool:
        """Whether anything was painted."""
        return self._painted

    def unpainted(self) -> "VideoFrame":
        """Give the frame as it is now; what is painted into this one later does not show there.

        Raises:
            ValueError: Something was painted already, and later painting would show.
        """
        if self._painted:
            raise ValueError("the frame is painted")
        self._seen_elsewhere = True
        return VideoFrame(self._picture, self.view, self.index, self.seconds)

    @property
    def luma(self) -> NDArray[np.uint8]:
        """(h, w) uint8 luma of the upright picture, read only; a view of the samples where they have 8 bits."""
        plane = _plane(self._picture, 0, self.view.layout)
        deeper = self.view.layout.bits - 8
        eight: NDArray[np.uint8] = (plane >> deeper if deeper else plane).astype(np.uint8, copy=False)
        luma = self.view.turn.upright(eight)
        luma.flags.writeable = False
        return luma

    def rgb(self, scale: float = 1.0) -> NDArray[np.uint8]:
        """Give (round(h * scale), round(w * scale), 3) uint8 RGB of the upright picture, each side at least 1."""
        width = max(1, round(self._picture.width * scale))
        height = max(1, round(self._picture.height * scale))
        with self._lock:  # the scaler puts its own colour codes into the frame for a moment
            scaled = self.view.scaler(width, height).reformat(
                self._picture,
                width,
                height,
                "rgb24",
                src_colorspace=self.view.colour.swscale,
                src_color_range=self.view.colour.range,
                dst_color_range=ColorRange.JPEG,
                threads=1,
            )
        plane = scaled.planes[0]
        samples = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, : width * 3]
        return np.ascontiguousarray(self.view.turn.upright(samples.reshape(height, width, 3)))

    def patch(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Give (h, w, 3) uint8 RGB of an upright rectangle, clipped to the picture."""
        down, across = self._stored(rows, columns)
        layout, turn = self.view.layout, self.view.turn
        luma = _plane(self._picture, 0, layout)[down, across]
        if layout.is_grey:
            neutral = np.full_like(luma, 1 << (layout.bits - 1))
            parts = [luma, neutral, neutral]
        else:
            parts = [luma, *(_spread(_plane(self._picture, i, layout), down, across, layout) for i in (1, 2))]
        samples = cast(_Plane, np.stack(parts, axis=2))
        if 0 in samples.shape:
            return np.empty(turn.upright(samples).shape, np.uint8)
        return np.ascontiguousarray(turn.upright(self.view.colour.to_rgb(samples, layout.bits)))

    def put(self, rows: slice, columns: slice, rgb: NDArray[np.uint8], inside: NDArray[np.bool_]) -> None:
        """Replace the pixels of an upright rectangle where ``inside``.

        A chroma sample that any of them shares is replaced whole, by the mean of the new pixels that share it.

        Args:
            rows: of the rectangle, within the picture.
            columns: of the rectangle, within the picture.
            rgb: (h, w, 3) uint8 of the rectangle's size.
            inside: (h, w) of the rectangle's size.
        """
        down, across = self._stored(rows, columns)
        inside = np.ascontiguousarray(self.view.turn.stored(inside))
        rgb = np.ascontiguousarray(self.view.turn.stored(rgb))
        _check_size(inside.shape, rgb.shape[:2], down, across)
        if not inside.any():
            return
        layout = self.view.layout
        samples = self.view.colour.from_rgb(rgb, layout.bits)
        top = (1 << layout.bits) - 1
        picture = self._writable()
        luma = _plane(picture, 0, layout)[down, across]
        np.copyto(luma, np.clip(np.rint(samples[:, :, 0]), 0, top).astype(luma.dtype), where=inside)
        if layout.is_grey:
            return
        weight = inside.astype(np.float32)
        count, low, left = _blocks(weight, down, across, layout)
        for i in (1, 2):
            total, _, _ = _blocks(samples[:, :, i] * weight, down, across, layout)
            mean = np.clip(np.rint(total / np.maximum(count, 1)), 0, top)
            plane = _plane(picture, i, layout)[low : low + count.shape[0], left : left + count.shape[1]]
            np.copyto(plane, mean.astype(plane.dtype), where=count > 0)

    def fill(self, rows: slice, columns: slice, inside: NDArray[np.bool_]) -> None:
        """Make the pixels of an upright rectangle black where (h, w) ``inside``, and every chroma sample they share."""
        down, across = self._stored(rows, columns)
        inside = np.ascontiguousarray(self.view.turn.stored(inside))
        _check_size(inside.shape, inside.shape, down, across)
        if not inside.any():
            return
        layout = self.view.layout
        black, neutral = self.view.colour.black(layout.bits)
        if not self._painted and not self._seen_elsewhere:
            self._picture.make_writable()  # copies the samples if anyone else, as the decoder, has them still
            self._painted = True
        picture = self._writable()
        _flood(_plane(picture, 0, layout)[down, across], black, inside)
        if layout.is_grey:
            return
        shared, low, left = _shared(inside, down, across, layout)
        for i in (1, 2):
            plane = _plane(picture, i, layout)[low : low + shared.shape[0], left : left + shared.shape[1]]
            _flood(plane, neutral, shared)

    def blacken(self) -> None:
        """Make the whole frame black."""
        layout = self.view.layout
        black, neutral = self.view.colour.black(layout.bits)
        self._picture, self._painted = empty_like(self._picture, layout.name), True
        _plane(self._picture, 0, layout)[...] = black
        if not layout.is_grey:
            for i in (1, 2):
                _plane(self._picture, i, layout)[...] = neutral

    def _stored(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        return self.view.turn.stored_span(rows, columns, self.width, self.height)

    def _writable(self) -> Picture:
        if not self._painted:
            copied = empty_like(self._picture, self.view.layout.name)
            for i in range(1 if self.view.layout.is_grey else 3):
                _plane(copied, i, self.view.layout)[...] = _plane(self._picture, i, self.view.layout)
            self._picture, self._painted = copied, True
        return self._picture


def cut(picture: Picture, aperture: Aperture, layout: Layout) -> Picture:
    """Return a part of a picture, which begins where samples of its chroma do."""
    made = empty_like(picture, layout.name, (aperture.width, aperture.height))
    for number in range(1 if layout.is_grey else 3):
        across, down = (layout.across, layout.down) if number else (1, 1)
        part = _plane(made, number, layout)
        top, left = aperture.top // down, aperture.left // across
        part[:] = _plane(picture, number, layout)[top : top + part.shape[0], left : left + part.shape[1]]
    return made


def _plane(picture: Picture, number: int, layout: Layout) -> _Plane:
    plane = picture.planes[number]
    deep = layout.bits > 8
    flat: _Plane = np.frombuffer(memoryview(plane), np.uint16) if deep else np.frombuffer(memoryview(plane), np.uint8)
    samples: _Plane = flat.reshape(plane.height, -1)
    if plane.line_size < 0:
        samples = samples[::-1]
    return samples[:, : plane.width]


def _flood(samples: _Plane, value: int, inside: NDArray[np.bool_]) -> None:
    """Set (h, w) samples where ``inside``; several times faster than numpy's copyto, in bands that stay in a cache."""
    height, width = samples.shape
    rows = min(height, max(1, _BAND // width))
    colour = np.full((rows, width), value, samples.dtype)
    for top in range(0, height, rows):
        band, where = samples[top : top + rows], inside[top : top + rows].view(np.uint8)
        flooded = cv2.copyTo(colour[: len(band)], where, band)
        if flooded is not band:  # it cannot write to rows that lie upside down in memory
            band[...] = flooded


def _spread(plane: _Plane, down: slice, across: slice, layout: Layout) -> _Plane:
    """Give each luma sample of the stored rectangle the chroma sample that it shares."""
    rows = np.arange(down.start, down.stop) // layout.down
    columns = np.arange(across.start, across.stop) // layout.across
    spread: _Plane = plane[rows[:, None], columns]
    return spread


def _blocks(
    values: NDArray[np.float32], down: slice, across: slice, layout: Layout
) -> tuple[NDArray[np.float32], int, int]:
    """Sum (h, w) ``values`` over the luma samples that share a chroma sample; also the first chroma row and column."""
    values = _to_blocks(values, down, across, layout)
    height, width = values.shape
    sums = values.reshape(height // layout.down, layout.down, width // layout.across, layout.across).sum(axis=(1, 3))
    return sums, down.start // layout.down, across.start // layout.across


def _shared(
    inside: NDArray[np.bool_], down: slice, across: slice, layout: Layout
) -> tuple[NDArray[np.bool_], int, int]:
    """Tell which chroma samples any of (h, w) ``inside`` shares; also the first chroma row and column."""
    inside = _to_blocks(inside, down, across, layout)
    rows = inside if layout.down == 1 else inside[::2] | inside[1::2]
    # A pair of neighbours is looked at as one number, which is several times faster than taking every other column.
    shared = rows if layout.across == 1 else np.ascontiguousarray(rows).view(np.uint16) != 0
    return shared, down.start // layout.down, across.start // layout.across


def _to_blocks(values: NDArray[_Value], down: slice, across: slice, layout: Layout) -> NDArray[_Value]:
    """Pad (h, w) by 0 to the whole of the luma samples that share the chroma samples of its rim."""
    top, left = down.start % layout.down, across.start % layout.across
    bottom, right = -(top + values.shape[0]) % layout.down, -(left + values.shape[1]) % layout.across
    return np.pad(values, ((top, bottom), (left, right))) if top or bottom or left or right else values


def _check_size(inside: tuple[int, ...], rgb: tuple[int, ...], down: slice, across: slice) -> None:
    expected = (down.stop - down.start, across.stop - across.start)
    if inside != expected or rgb != expected:
        raise ValueError(f"a rectangle of stored {expected} pixels does not fit {inside} and {rgb}")
