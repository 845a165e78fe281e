"""``python -m services.serving``: the data plane alone."""

from mlops.layers import InvalidSettings
from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.settings import load_settings
from services.asgi.server import run
from services.serving.app import serving_app


def main() -> None:
    """Serve until a signal says stop.

    Raises:
        SystemExit: the settings are wrong, or the address is taken.
    """
    try:
        settings = load_settings()
        configure_logging(settings.logging)
        app = serving_app(settings, Metrics())
    except InvalidSettings as error:
        raise SystemExit(f"settings:\n{error}") from None
    run(app, settings.server)


if __name__ == "__main__":
    main()
