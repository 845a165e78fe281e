"""Our server for `benchmarks.serving`: as it is by default, or without some of what surrounds a prediction.

`python -m benchmarks.serving_ours [--without rows,captures,metrics,routing,limits,log]`; everything else comes from
MASKER_… variables. There are no settings for this, and there shall be none: what is left out is only to be weighed.
"""

import argparse
import sys
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.predictions.captures import Captures
from mlops.predictions.recorder import Recorder
from mlops.settings import load_settings
from services.asgi.middleware import Lines
from services.asgi.rates import Rates
from services.asgi.server import run
from services.serving.app import serving_app
from services.serving.endpoints import Endpoint
from services.serving.hot.figures import Figures


def _nothing(*_: object) -> None:
    """Do nothing."""


def _never(*_: object) -> bool:
    return False


def _champion(endpoint: Endpoint[Any], *_: object) -> object:
    return endpoint.champion()


PARTS: Final[dict[str, tuple[tuple[type, str, Any], ...]]] = {
    "rows": ((Recorder, "record", _nothing),),
    "captures": ((Captures, "wanted", _never),),
    "metrics": ((Figures, "add", _nothing), (Figures, "settle", _nothing)),
    "routing": ((Endpoint, "choose", _champion),),
    "limits": ((Rates, "wait", _nothing),),
    "log": ((Lines, "of", _nothing),),
}


def main() -> None:
    """Serve until a signal says stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_ours")
    parser.add_argument("--without", default="", help=f"what is left out, with commas: {', '.join(PARTS)}")
    without = [name for name in parser.parse_args(sys.argv[1:]).without.split(",") if name]
    settings = load_settings()
    configure_logging(settings.logging)
    with ExitStack() as stack:
        for name in without:
            for owner, method, instead in PARTS[name]:
                stack.enter_context(patch.object(owner, method, instead))
        run(serving_app(settings, Metrics()), settings.server)


if __name__ == "__main__":
    main()
