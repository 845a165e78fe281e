"""What can keep a command from beginning at all."""


class UsageError(Exception):
    """What was asked for cannot be done as asked."""


class NotInstalledError(Exception):
    """There is no model to find faces with."""
