"""What somebody who acts may be called: the same for whoever asks, who answers, and the audit log."""

from typing import Final

ACTOR_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
