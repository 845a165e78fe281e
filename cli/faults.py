"""What can keep a command from beginning at all."""


class UsageError(Exception):
    """What was asked for cannot be done as asked."""


class NotInstalledError(Exception):
    """There is no model to find faces with."""


def words(error: Exception) -> str:
    """Say what went wrong in words: of a fault of the system, which file it was about and why, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
