"""Processes that work for a stage, in a pool: they end with it, however it ends."""

import os
import threading
from multiprocessing import parent_process


def end_with_parent() -> None:
    """End this process once the one that started it is gone: the initializer of a pool, or a part of it.

    A pool's process waits for work for ever, and who is killed tells it nothing.
    """
    threading.Thread(target=_wait_for_parent, name="parent", daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
