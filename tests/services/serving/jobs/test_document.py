"""What the document says of videos and jobs holds for what fits it and for what does not."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.services.serving.jobs.backstage import ENDS, POST

PATHS = (("POST", POST), *((method, f"/v1/jobs/{{identity}}{end}") for method, end in ENDS))


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        *((*each, mode) for each in PATHS for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)),
        ("GET", "/v1/jobs", GenerationMode.POSITIVE),
        ("HEAD", "/v1/jobs/{identity}/result", GenerationMode.POSITIVE),
    ],
)
def test_the_document_keeps_its_promises(
    make_served: Callable[..., Any], method: str, path: str, mode: GenerationMode
) -> None:
    with make_served(server__allowed_hosts="127.0.0.1,testserver") as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=schema[path][method].as_strategy(generation_mode=mode))
        def fuzz(case: Any) -> None:
            # Bytes that are no video and names of no job fit the document, and are refused all the same.
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
            assert response.status_code < 500

        fuzz()
