"""What can go wrong with the registry, for whoever asks for it by way of others and has no MLflow."""


class RegistryError(Exception):
    """The registry cannot be reached, or has not what was asked for."""


class UnknownVersion(RegistryError):
    """The registry answers, and has no such model or version."""
