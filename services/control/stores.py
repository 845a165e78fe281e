"""Questions to the platform's database and to the registry, asked in a thread; what is away is a 503 that says so."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException

from mlops.database import DatabaseAway
from mlops.registry.errors import RegistryError, UnknownVersion
from mlops.rollout.approvals import NotAllowed
from mlops.rollout.state import IllegalMove
from mlops.rollout.store import Conflict, Unknown
from services.asgi.problems import described

Answer = TypeVar("Answer")
THREADS: Final = ThreadPoolExecutor(4, "control")
"""Of its own: a question to the registry may take seconds, and nobody who masks in the same process waits for it."""
AGAIN: Final = {"Retry-After": "5"}
log = logging.getLogger(__name__)
AWAY: Final[dict[int | str, dict[str, Any]]] = {503: described("The platform's database or the registry is away.")}


async def asked(ask: Callable[[], Answer]) -> Answer:
    """Return what a question that blocks gives.

    Raises:
        HTTPException: 503 where the database or the registry does not answer, 404 where there is no such thing, 409
            where it cannot be done as things stand.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(THREADS, copy_context().run, ask)
    except DatabaseAway as error:
        # Whoever asks cannot mend it; who reads the log is told what is: a disk that is full, a server that is gone.
        log.warning("the platform's database does not answer", extra={"reason": repr(error.__cause__ or error)})
        raise HTTPException(503, "the platform's database does not answer", AGAIN) from error
    except (UnknownVersion, Unknown) as error:
        raise HTTPException(404, _sentence(error)) from error
    except (IllegalMove, NotAllowed, Conflict) as error:
        raise HTTPException(409, _sentence(error)) from error
    except RegistryError as error:
        raise HTTPException(503, "the registry does not answer", AGAIN) from error


def _sentence(error: Exception) -> str:
    return str(error.args[0]) if error.args else ""
