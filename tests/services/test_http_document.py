"""docs/http.md and the OpenAPI document of the embedded default name the same routes."""

import re
from pathlib import Path
from typing import Any

import pytest

from mlops.metrics import Metrics
from services.asgi.app import create_app
from services.control.app import control_part
from services.control.lookup import lookup_of
from services.serving.app import serving_part
from tests.services.places import places_in, settings_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/http.md"
ROUTE = re.compile(r"`(GET|HEAD|POST|PUT|DELETE|WS) (/[^`?]*)`")
CHOICE = re.compile(r"\{(\w[\w-]*(?:,[\w-]+)+)\}")
NAME = re.compile(r"\{\w+\}")


def written() -> set[tuple[str, str]]:
    """Routes that the document names; ``{a,b}`` in a path is either."""
    found = set()
    for method, path in ROUTE.findall(DOCUMENT.read_text("utf-8")):
        choice = CHOICE.search(path)
        paths = [path.replace(choice[0], each) for each in choice[1].split(",")] if choice else [path]
        found |= {(method, NAME.sub("{}", each)) for each in paths}
    return found


@pytest.fixture
def operations(tmp_path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What the OpenAPI document of the embedded default says of each route."""
    settings, metrics = settings_of(**places_in(tmp_path)), Metrics()
    parts = [serving_part(settings, metrics), control_part(settings, lookup_of(settings.registry.tracking_uri))]
    paths = create_app(settings, metrics, parts, "embedded").openapi()["paths"]
    return {(method.upper(), path): told for path, methods in paths.items() for method, told in methods.items()}


def test_every_route_says_what_it_does_in_a_sentence(operations: dict[tuple[str, str], dict[str, Any]]) -> None:
    for route, told in operations.items():
        assert told["summary"].count(" ") > 1, route
        assert told["summary"].endswith("."), route


def test_every_route_is_in_the_document_and_no_other(operations: dict[tuple[str, str], dict[str, Any]]) -> None:
    served = {(method, NAME.sub("{}", path)) for method, path in operations}
    sockets = {("WS", "/v1/live"), ("WS", "/v1/live/audio")}
    assert served - written() == set(), "not in docs/http.md"
    assert written() - served == sockets, "in docs/http.md alone"
