"""What is read from a frame alone, before it is compared with any other: a thread of its own may do it ahead."""

from dataclasses import dataclass
from typing import Self

from masking.face.cuts import Thumb, thumb
from masking.face.doubt import Sight, sight
from masking.face.flow import View, view
from masking.media.frame import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame as a `Follower` needs it.

    Attributes:
        view: Its brightness, shrunk.
        thumb: What it looks like from afar.
        sight: How much can be made out in it.
    """

    view: View
    thumb: Thumb
    sight: Sight

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """See a frame."""
        shrunk = view(frame.luma)
        small = thumb(shrunk.small)
        return cls(shrunk, small, sight(shrunk.luma, small))
