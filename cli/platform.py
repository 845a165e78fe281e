"""The commands' way to the platform API: plain HTTP, JSON there and back, and problems told as problems."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.outcome import Exit
from cli.tell import printable
from mlops.actor import ACTOR_PATTERN

if TYPE_CHECKING:
    from urllib.error import HTTPError, URLError

TIMEOUT_SECONDS: Final = 60.0

Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Address of the platform; else the setting platform.url.")
]
Actor = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who acts; else the user of this machine.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

OfEndpoint = Annotated[str | None, typer.Option("--endpoint", help="Only those of this endpoint.")]
Most = Annotated[int, typer.Option("--most", min=1, max=1000, help="How many at the most.")]
Reason = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Why; the audit log has it.")]
SHORT: Final = 8
"""Letters of an id that people are shown."""
WHOLE: Final = 32
"""Letters of a whole id."""
_AT_WORK: Final = ("preparing", "running", "paused", "promoting", "rolling_back")
_ACTOR_HEADER: Final = "X-Actor"
_NAMES: Final = "a name has up to 64 of a-z, A-Z, 0-9 and . _ @ + -, the first of them a letter or a digit"
_IDENTITY: Final = re.compile(r"[0-9a-f]{6,32}")


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
        actor: Who acts, as the audit log will have it; None where nobody said, who then can look but do nothing.
    """

    url: str
    actor: str | None

    def get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Ask for something; a query's values that are None are left out."""
        return self._ask("GET", path, query, None)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Send JSON, or nothing; gives the answer, empty where there is nothing to tell."""
        return self._ask("POST", path, None, body)

    def delete(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Remove something."""
        return self._ask("DELETE", path, query, None)

    def fetch(self, path: str, query: Mapping[str, object] | None = None) -> tuple[bytes, str]:
        """Ask for a file; gives its bytes and media type."""
        return self._asked("GET", path, query, None)

    def _ask(
        self, method: str, path: str, query: Mapping[str, object] | None, body: Mapping[str, object] | None
    ) -> dict[str, Any]:
        read, _ = self._asked(method, path, query, body)
        try:
            return dict(json.loads(read)) if read else {}
        except (ValueError, TypeError) as error:
            raise PlatformError(f"{self.url} is no platform API", "its answer is no JSON; see --url") from error

    def _asked(
        self, method: str, path: str, query: Mapping[str, object] | None, body: Mapping[str, object] | None
    ) -> tuple[bytes, str]:
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.parse import quote, urlencode
        from urllib.request import ProxyHandler, Request, build_opener

        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}
        address = f"{self.url.rstrip('/')}{quote(path)}" + (f"?{urlencode(asked)}" if asked else "")
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        headers |= {_ACTOR_HEADER: self.actor} if self.actor else {}
        data = None if body is None else json.dumps(body).encode()
        # The platform is on this machine or has an address of its own: no proxy of the environment is asked.
        opener = build_opener(ProxyHandler({}))
        try:
            with opener.open(Request(address, data, headers, method=method), timeout=TIMEOUT_SECONDS) as answer:
                return answer.read(), answer.headers.get_content_type()
        except HTTPError as error:
            with error:
                raise _problem(error) from error
        except URLError as error:
            raise PlatformError(f"{self.url} does not answer", _advice(error)) from error
        except ValueError as error:
            # A name of a host that none can be, say; what is known of it only once it is looked up.
            raise PlatformError(f"{self.url} is no address", str(error)) from error
        except (OSError, HTTPException) as error:
            raise PlatformError(f"{self.url} broke the answer off", "ask for its state before you try again") from error


@contextmanager
def platform(url: str | None = None, actor: str | None = None) -> Iterator[Platform]:
    """Give the platform; what it refuses is told on standard error, and ends the command with `Exit.ERROR`.

    Args:
        url: Its address; that of the settings unless given.
        actor: Who acts; the user of this machine unless given.
    """
    from mlops.layers import InvalidSettings

    try:
        yield Platform(_checked(_set_url() if url is None else url), _user() if actor is None else _name(actor))
    except (PlatformError, InvalidSettings) as error:
        typer.echo(f"masker: {_printable_lines(str(error))}", err=True)
        raise typer.Exit(Exit.ERROR) from error


def one(identities: Sequence[str], beginning: str, what: str) -> str:
    """Return the only identity that begins so.

    Raises:
        PlatformError: None does, or several do.
    """
    found = [each for each in identities if each.startswith(beginning)]
    if not found:
        raise PlatformError(f"no {what} of late has an id that begins with {beginning}", "give the whole id")
    if len(found) > 1:
        raise PlatformError(f"the ids of {len(found)} begin with {beginning}, each a {what}", "give more of the id")
    return found[0]


def at_work(told: Mapping[str, Any]) -> bool:
    """Say whether a release or an experiment has the traffic of its endpoint."""
    return told.get("phase", told.get("state")) in _AT_WORK


def found(
    control: Platform, what: str, which: str, likely: Sequence[Callable[[Mapping[str, Any]], bool]] = (at_work,)
) -> dict[str, Any]:
    """Look something up by its endpoint, its id, or the beginning of one.

    Args:
        control: Where it is.
        what: ``release`` or ``experiment``.
        which: What was typed.
        likely: Which one of an endpoint is meant: the newest that fits the first of these, else the next one, else the
            newest of all.

    Raises:
        PlatformError: There is none, or several begin so.
    """
    if len(which) == WHOLE and _IDENTITY.fullmatch(which):
        return control.get(f"/v1/{what}s/{which}")
    # An endpoint may be called by letters that are hex digits, too: `facade`, `decade`.
    if there := control.get(f"/v1/{what}s", {"endpoint": which, "most": 1000})[f"{what}s"]:
        meant = (each for fits in likely for each in there if fits(each))
        return dict(next(meant, there[0]))
    if not _IDENTITY.fullmatch(which):
        raise PlatformError(f"{which} had no {what} yet", f"masker {what} start begins one")
    identities = [each["id"] for each in control.get(f"/v1/{what}s", {"most": 1000})[f"{what}s"]]
    return control.get(f"/v1/{what}s/{one(identities, which, what)}")


def named(given: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE``; what is no JSON is a text.

    Raises:
        typer.BadParameter: It is written otherwise.
    """
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{given} is no NAME=VALUE, such as threshold=0.3")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _printable_lines(text: str) -> str:
    """Give each line of a text that may be shown, without those that are empty: some point at what stands above."""
    return "\n".join(printable(line) for line in text.splitlines() if line.strip())


def _checked(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        # Reading the port raises where it is none.
        is_address = parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise PlatformError(
            f"{url!r} is no address",
            "one is such as http://127.0.0.1:8000 or https://masker.example, in ASCII, without ? or #",
        )
    return url


def _set_url() -> str:
    from mlops.settings import load_settings

    return load_settings().platform.url


def _name(actor: str) -> str:
    if not re.fullmatch(ACTOR_PATTERN, actor):
        raise PlatformError(f"--as {actor!r} names nobody", _NAMES)
    return actor


def _user() -> str | None:
    """Give the user of this machine; None where there is no name, or one that the platform does not take."""
    import getpass

    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return None
    return name if re.fullmatch(ACTOR_PATTERN, name) else None


def _problem(error: "HTTPError") -> PlatformError:
    try:
        told = json.loads(error.read())
        faults = [str(each) for each in told.get("errors") or []]
        if any(each.startswith(f"header.{_ACTOR_HEADER}:") for each in faults):
            return PlatformError("the audit log must know who acts", f"say so with --as NAME; {_NAMES}", error.code)
        detail = str(told.get("detail") or "") or "; ".join(faults)
        if detail and told.get("type") == "about:blank":
            # A problem without a name of its own has the status for a title.
            return PlatformError(detail, status=error.code)
        return PlatformError(str(told["title"]), detail, error.code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return PlatformError(f"the answer was {error.code} {error.reason}", status=error.code)


def _advice(error: "URLError") -> str:
    if isinstance(error.reason, ConnectionRefusedError):
        return "nothing listens there: start it (make run, or make up and --url http://127.0.0.1:8080)"
    return str(error.reason)
