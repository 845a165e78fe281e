"""Counts the frames that a file has and its decoder does not give, which it may do without a word."""

from av.packet import Packet
from av.video.frame import VideoFrame as Picture
from av.video.stream import VideoStream

_FRAME_A_PACKET = frozenset(("h264", "hevc", "vp9", "av1"))
"""Codecs of which each packet shows one frame; others have packets that show none."""


class MissingFrames:
    """Compares the packets that a decoder took with the frames that it gave.

    What is shown before the first frame that was given is not counted: a stream that was cut anywhere begins so.

    Args:
        codec: FFmpeg's name.
    """

    def __init__(self, codec: str) -> None:
        self._known = codec in _FRAME_A_PACKET
        self._owed: set[int] = set()
        self._first: int | None = None
        self._passed = 0
        self._more = 0  # packets than frames

    def sent(self, packet: "Packet[VideoStream]") -> None:
        """Take note of a packet that the decoder took."""
        if packet.is_discard:
            return  # not shown, as the file wishes
        self._more += 1
        if packet.pts is None:
            self._known = False
        elif self._known and (self._first is None or packet.pts > self._first):
            self._owed.add(packet.pts)

    def given(self, picture: Picture) -> None:
        """Take note of a frame, before its time is changed."""
        self._more -= 1
        if picture.pts is None or picture.interlaced_frame:
            self._known = False  # a packet may be half a frame
            return
        if self._first is None:
            self._first = picture.pts
            self._owed = {time for time in self._owed if time > picture.pts}
        self._owed.discard(picture.pts)
        late = {time for time in self._owed if time < picture.pts}
        self._passed += len(late)
        self._owed -= late

    @property
    def count(self) -> int:
        """How many frames are missing, once the decoder has given all that it had; 0 where it cannot be told."""
        if not self._known or self._first is None:
            return 0
        # Where the times of a file are broken, they tell of frames that are there under another.
        return max(0, min(self._more, self._passed + len(self._owed)))
