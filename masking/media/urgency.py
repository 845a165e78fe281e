"""An encoder makes this process no more urgent than it was.

SVT-AV1 has its threads scheduled in real time where the system lets it, as for root, and the thread that opens it too,
for good: others get no processor while one of them works, and whatever that thread starts is as urgent.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

THREADS: Final = Path("/proc/self/task")


@contextmanager
def as_urgent_as_before() -> Iterator[None]:
    """Let nothing that an encoder does within make the calling thread, or those that it starts, more urgent."""
    if not hasattr(os, "sched_getscheduler"):
        # Only Linux has it, and what it undoes.
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        changed = os.sched_getscheduler(0)
        if changed != policy:
            os.sched_setscheduler(0, policy, parameters)
            for thread in THREADS.iterdir():
                # Those that have ended meanwhile need no more.
                with suppress(ProcessLookupError):
                    if os.sched_getscheduler(int(thread.name)) == changed:
                        os.sched_setscheduler(int(thread.name), policy, parameters)
