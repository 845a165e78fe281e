"""``python -m services.worker``: follow the registry and move releases on.

``--once`` brings what is wanted, changes the aliases that wait, and ends; ``--promote N`` moves an alias by hand.
"""

import argparse
import signal
import sys
from typing import Final

from prometheus_client import CollectorRegistry

from mlops.database import Database
from mlops.layers import InvalidSettings
from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.registry.bundle import remove_left
from mlops.registry.errors import RegistryError
from mlops.registry.mlflow import Registry
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import Settings, load_settings
from services.asgi.server import run
from services.worker.app import worker_app
from services.worker.pull import Puller

INTERRUPTED: Final = 130
"""Exit code of what a signal ended before it was done."""


def main() -> int:
    """Run; the exit code is 1 if the one look or the promotion failed."""
    parser = argparse.ArgumentParser(
        prog="python -m services.worker", description="Follow the registry and move releases on."
    )
    once = parser.add_mutually_exclusive_group()
    once.add_argument("--once", action="store_true", help="bring what is wanted, then end")
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
        return once_only(settings)
    run(worker_app(settings, Metrics()), settings.server)
    return 0


def once_only(settings: Settings) -> int:
    """Look once; the exit code is 1 if anything failed or was refused, and 130 if a signal ended it."""
    # As an interrupt: what is on its way is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    database = Database(settings.database, TABLES)
    try:
        remove_left(settings.registry.bundles_path)
        return int(
            Puller(settings.registry, CollectorRegistry(), ReleaseStore(database)).pull() in ("failed", "refused")
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        database.close()


def promote(settings: Settings, model: str, version: str) -> int:
    """Move the alias, and tell."""
    if not version.isdecimal():
        sys.stderr.write("give the number of a registered version: make champion VERSION=2\n")
        return 2
    try:
        registry = Registry(settings.registry.tracking_uri)
        if model not in (known := registry.names()):
            sys.stderr.write(f"no model is registered as {model}; there are: {', '.join(known) or 'none'}\n")
            return 2
        champion = registry.promote(model, version)
    except RegistryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"{champion.name} version {champion.version} is champion\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
