"""The commands' way to the platform API: plain HTTP, JSON there and back, and problems told as problems."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.outcome import Exit
from cli.tell import printable

if TYPE_CHECKING:
    from urllib.error import HTTPError, URLError

TIMEOUT_SECONDS: Final = 60.0

Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Address of the platform; else the setting platform.url.")
]
Actor = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who acts; else the user of this machine.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

Reason = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Why; the audit log has it.")]
SHORT: Final = 8
"""Letters of an id that people are shown."""


class PlatformError(Exception):
    """The platform did not do what it was asked; the text says why, and what to do where that is known.

    Attributes:
        status: HTTP status of the answer; 0 where there was none.
        title: What is wrong.
        detail: What is wrong in this case; empty where the title says it all.
    """

    def __init__(self, title: str, detail: str = "", status: int = 0) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.title = title
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform API at an address. Every method raises PlatformError where the answer is no success.

    Attributes:
        url: Its address, without a path.
        actor: Who acts, as the audit log will have it.
    """

    url: str
    actor: str

    def get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Ask for something; a query's values that are None are left out."""
        return self._ask("GET", path, query, None)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Send JSON, or nothing; gives the answer, empty where there is nothing to tell."""
        return self._ask("POST", path, None, body)

    def delete(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Remove something."""
        return self._ask("DELETE", path, query, None)

    def _ask(
        self, method: str, path: str, query: Mapping[str, object] | None, body: Mapping[str, object] | None
    ) -> dict[str, Any]:
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.parse import urlencode
        from urllib.request import ProxyHandler, Request, build_opener

        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}
        address = f"{self.url.rstrip('/')}{path}" + (f"?{urlencode(asked)}" if asked else "")
        headers = {"X-Actor": self.actor, "Accept": "application/json", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        # The platform is on this machine or has an address of its own: no proxy of the environment is asked.
        opener = build_opener(ProxyHandler({}))
        try:
            with opener.open(Request(address, data, headers, method=method), timeout=TIMEOUT_SECONDS) as answer:
                read = answer.read()
            return dict(json.loads(read)) if read else {}
        except HTTPError as error:
            with error:
                raise _problem(error) from error
        except URLError as error:
            raise PlatformError(f"{self.url} does not answer", _advice(error)) from error
        except (OSError, HTTPException) as error:
            raise PlatformError(f"{self.url} broke the answer off", "ask for its state before you try again") from error
        except (ValueError, TypeError) as error:
            raise PlatformError(f"{self.url} is no platform API", "its answer is no JSON; see --url") from error


@contextmanager
def platform(url: str | None = None, actor: str | None = None) -> Iterator[Platform]:
    """Give the platform; what it refuses is told on standard error, and ends the command with `Exit.ERROR`.

    Args:
        url: Its address; that of the settings unless given.
        actor: Who acts; the user of this machine unless given.
    """
    from mlops.layers import InvalidSettings

    try:
        yield Platform(_checked(url or _set_url()), actor or _user())
    except (PlatformError, InvalidSettings) as error:
        typer.echo(f"masker: {printable(str(error))}", err=True)
        raise typer.Exit(Exit.ERROR) from error


def one(identities: Sequence[str], beginning: str, what: str) -> str:
    """Return the only identity that begins so.

    Raises:
        PlatformError: None does, or several do.
    """
    found = [each for each in identities if each.startswith(beginning)]
    if len(found) != 1:
        raise PlatformError(f"{len(found)} of the latest {what}s begin with {beginning}", "give the whole id")
    return found[0]


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise PlatformError(f"{url} is no address", "it begins with http:// or https://")
    return url


def _set_url() -> str:
    from mlops.settings import load_settings

    return load_settings().platform.url


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise PlatformError("nobody knows who you are", "say so: --as NAME") from error


def _problem(error: "HTTPError") -> PlatformError:
    try:
        told = json.loads(error.read())
        detail = "; ".join([told["detail"]] if told.get("detail") else []) or "; ".join(told.get("errors") or [])
        return PlatformError(str(told["title"]), detail, error.code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return PlatformError(f"the answer was {error.code} {error.reason}", status=error.code)


def _advice(error: "URLError") -> str:
    if isinstance(error.reason, ConnectionRefusedError):
        return "nothing listens there: start it (make run, or make up and --url http://127.0.0.1:8080)"
    return str(error.reason)
