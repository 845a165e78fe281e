"""``python -m services.control``: the platform API alone."""

from mlops.layers import InvalidSettings
from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.settings import load_settings
from services.asgi.server import run
from services.control.app import control_app


def main() -> None:
    """Serve until a signal says stop.

    Raises:
        SystemExit: The settings are wrong, or the address is taken.
    """
    try:
        settings = load_settings()
    except InvalidSettings as error:
        raise SystemExit(f"settings:\n{error}") from None
    configure_logging(settings.logging)
    run(control_app(settings, Metrics()), settings.server)


if __name__ == "__main__":
    main()
