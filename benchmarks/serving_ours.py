"""Our server for `benchmarks.serving`: as it is by default, or without rows, captures and limits, for comparison.

`python -m benchmarks.serving_ours [--bare]`; everything else comes from MASKER_… variables.
"""

import argparse
import sys
from unittest.mock import patch

from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.predictions.captures import Captures
from mlops.predictions.recorder import Recorder
from mlops.settings import load_settings
from services.asgi.server import run
from services.serving.app import serving_app


def main() -> None:
    """Serve until a signal says stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_ours")
    parser.add_argument("--bare", action="store_true", help="no rows of predictions and no captures")
    bare = parser.parse_args(sys.argv[1:]).bare
    settings = load_settings()
    configure_logging(settings.logging)
    if bare:
        # There is no setting for this, and there shall be none: what is left out is only to be weighed.
        with patch.object(Recorder, "record", lambda *_: None), patch.object(Captures, "wanted", lambda *_: False):
            run(serving_app(settings, Metrics()), settings.server)
    else:
        run(serving_app(settings, Metrics()), settings.server)


if __name__ == "__main__":
    main()
