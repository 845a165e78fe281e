"""`python -m cli` is `masker`; an interrupt is heard before any command is imported, and until the process ends."""

import signal
import types
from typing import Final

from cli.outcome import Exit

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Run the command line; an interrupt ends it with 130, and what was not finished is not there."""
    interrupted = False

    def interrupt(_: int, __: types.FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        from cli.app import app

        app(prog_name="masker")
    except (KeyboardInterrupt, Exception):
        # Who imports something may be told of the interrupt as a fault of what is imported.
        if not interrupted:
            raise
        raise SystemExit(Exit.INTERRUPTED) from None
    finally:
        # All is told by now: another one ends the process there and then, and says nothing.
        for number in SIGNALS:
            if signal.getsignal(number) is interrupt:
                signal.signal(number, signal.SIG_DFL)


main()
