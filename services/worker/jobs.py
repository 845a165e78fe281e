"""``python -m services.worker.jobs``: does jobs until a signal says stop. A process of its own, at low priority.

What it decodes was made by strangers: should that take the process down, nothing else falls, and the job that did it
is not tried for ever.
"""

import argparse
import os
import signal
import threading
import types

from mlops.layers import InvalidSettings
from mlops.logging import configure_logging
from mlops.settings import load_settings
from services.worker.kinds import kinds
from services.worker.loop import WorkerHung, do_jobs


def main() -> None:
    """Do jobs until a signal says stop, or the parent that was named has gone.

    Raises:
        SystemExit: The settings are wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m services.worker.jobs", description="Do the jobs that wait.")
    parser.add_argument("--parent", type=int, help="process that this one must not outlive")
    parent = parser.parse_args().parent
    try:
        settings = load_settings()
    except InvalidSettings as error:
        raise SystemExit(f"settings:\n{error}") from None
    configure_logging(settings.logging)
    asked = False

    def stop(_: int, __: types.FrameType | None) -> None:
        # No more than this: what the signal interrupts may hold the lock of whatever else it could be told to.
        nonlocal asked
        asked = True

    def alive() -> bool:
        return not asked and (parent is None or os.getppid() == parent)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if hasattr(os, "nice"):
        os.nice(settings.jobs.niceness)
    try:
        do_jobs(settings, threading.Event(), kinds(settings), alive)
    except WorkerHung:
        # The thread that hangs would keep an orderly exit waiting. Whoever started this process starts another.
        os._exit(os.EX_TEMPFAIL)


if __name__ == "__main__":
    main()
