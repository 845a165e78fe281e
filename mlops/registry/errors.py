"""What can go wrong with the registry, for whoever asks for it by way of others and has no MLflow."""


class RegistryError(Exception):
    """The registry cannot be reached, or has not what was asked for."""


class UnknownVersion(RegistryError):
    """The registry answers, and has no such model or version."""


def unknown(name: str, wanted: str) -> UnknownVersion:
    """Return the error that says which version of a model there is not: a number, an alias, or the newest."""
    if wanted.isdecimal():
        return UnknownVersion(f"{name} has no version {wanted}")
    return UnknownVersion(f"{name} has no version that is {wanted}")
