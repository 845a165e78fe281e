"""What can go wrong while masking, so that every caller can tell the input's fault from ours.

    MaskingError
    ├── MediaError                 the input's fault; the message never quotes the input
    │   ├── EmptyMedia             no bytes at all
    │   ├── UnsupportedMedia       not a kind that is masked here
    │   ├── MediaTooLarge          more bytes or pixels than the limits allow
    │   └── DamagedMedia           truncated or corrupt
    ├── PolicyError                an unknown style, or a threshold out of range
    ├── ModelError                 the model failed or answered nonsense
    ├── StorageError               the answer cannot be written: the disk is full, or may not be written to
    ├── Withheld                   frames are in doubt, and the policy is to give nothing then
    └── DeadlineExceeded           the time allowed is over

Whatever is raised, no media leaves: a caller that catches one of these has nothing to hand out.
"""


class MaskingError(Exception):
    """Any failure of the masking library."""


class MediaError(MaskingError):
    """The input cannot be masked."""


class EmptyMedia(MediaError):
    """The input has no bytes."""


class UnsupportedMedia(MediaError):
    """The input is not of a kind that is masked here."""


class MediaTooLarge(MediaError):
    """The input has more bytes or pixels than the limits allow."""


class DamagedMedia(MediaError):
    """The input is truncated or corrupt, even where a common decoder would only warn."""


class PolicyError(MaskingError):
    """The masking policy names an unknown style or a value out of range."""


class ModelError(MaskingError):
    """The model failed, or its output is not what the model promises."""


class StorageError(MaskingError):
    """The result cannot be written: the disk is full, or the place may not be written to."""


class Withheld(MaskingError):
    """Frames are in doubt, and the policy is to give nothing then."""


class DeadlineExceeded(MaskingError):
    """The time allowed for this piece of work is over."""
