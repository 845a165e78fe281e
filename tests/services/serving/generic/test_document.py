"""What a fuzzer gets from generic endpoints: always an answer that the OpenAPI document promises."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.patience import PATIENCE_SECONDS

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
SOME = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def document(serve_generic: Any, demo_root: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        served = stack.enter_context(serve_generic(demo_root))
        url = f"http://127.0.0.1:{served.port}/openapi.json"
        yield schemathesis.openapi.from_url(url, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        ("POST", "/predict", POSITIVE),
        ("POST", "/predict", NEGATIVE),
        ("POST", "/v1/endpoints/{name}/predict", POSITIVE),
        ("GET", "/v1/endpoints", POSITIVE),
        ("POST", "/v2/models/{name}/infer", POSITIVE),
        ("POST", "/v2/models/{name}/infer", NEGATIVE),
        ("POST", "/v2/models/{name}/versions/{version}/infer", POSITIVE),
        ("GET", "/v2/models/{name}", POSITIVE),
        ("GET", "/v2/models/{name}/versions/{version}/ready", POSITIVE),
        ("GET", "/v2", POSITIVE),
    ],
)
def test_the_document_keeps_its_promises(document: Any, method: str, path: str, mode: GenerationMode) -> None:
    @SOME
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        # Endpoints have names that no schema knows, and rows as long as their models say.
        unasked = [positive_data_acceptance, negative_data_rejection]
        response = case.call_and_validate(excluded_checks=unasked, timeout=PATIENCE_SECONDS)
        assert response.status_code < 500

    fuzz()
