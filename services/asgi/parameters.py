"""Query parameters that fail closed: a misspelt ``treshold`` is an error, not a threshold left at its default."""

from collections.abc import Awaitable, Callable, Collection
from difflib import get_close_matches

from starlette.requests import Request

from services.asgi.errors import UnknownParameter


def only(*names: str, many: Collection[str] = ()) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that refuses every query parameter but these, and these when given twice.

    Args:
        names: The parameters that there are.
        many: Those of them that may be given more than once.
    """

    async def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        known = ", ".join(names) or "none"
        for name in given:
            if name not in names:
                near = get_close_matches(name.lower(), names, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UnknownParameter(f"the parameters are: {known}{hint}")
            if name not in many and given.count(name) > 1:
                raise UnknownParameter(f"{name} is given more than once")

    return check
