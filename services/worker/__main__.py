"""``python -m services.worker``: follow the champions; ``--once`` looks once, ``--promote N`` moves an alias."""

import argparse
import sys

from prometheus_client import CollectorRegistry

from mlops.layers import InvalidSettings
from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.registry.mlflow import Registry, RegistryError
from mlops.settings import Settings, load_settings
from services.asgi.server import run
from services.worker.app import worker_app
from services.worker.pull import Puller


def main() -> int:
    """Run; the exit code is 1 if the one look or the promotion failed."""
    parser = argparse.ArgumentParser(prog="python -m services.worker", description=__doc__)
    once = parser.add_mutually_exclusive_group()
    once.add_argument("--once", action="store_true", help="bring the champions, then end")
    once.add_argument("--promote", metavar="VERSION", help="make this registered version the champion, then end")
    parser.add_argument("--model", help="registered model to promote a version of; that of faces unless given")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
    except InvalidSettings as error:
        raise SystemExit(f"settings:\n{error}") from None
    configure_logging(settings.logging)
    if arguments.promote is not None:
        return promote(settings, arguments.model or settings.registry.model, arguments.promote)
    if arguments.once:
        return int(Puller(settings.registry, CollectorRegistry()).pull() in ("failed", "refused"))
    run(worker_app(settings, Metrics()), settings.server)
    return 0


def promote(settings: Settings, model: str, version: str) -> int:
    """Move the alias, and tell."""
    if not version.isdecimal():
        sys.stderr.write("give the number of a registered version: make champion VERSION=2\n")
        return 2
    known = settings.registry.model, settings.registry.voice_model
    if model not in known:
        sys.stderr.write(f"the models are {' and '.join(known)}: make champion MODEL={known[1]} VERSION=2\n")
        return 2
    try:
        champion = Registry(settings.registry.tracking_uri).promote(model, version)
    except RegistryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"{champion.name} version {champion.version} is champion\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
