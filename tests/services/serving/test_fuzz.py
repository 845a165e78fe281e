"""What a fuzzer and a vandal get: always an answer that the OpenAPI document promises, and never the input."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from starlette.testclient import TestClient

from masking.face.maskers import AVERAGES, TONED

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
MASK, DETECT = "/v1/mask/image", "/v1/detect/image"
SOME = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def schema(make_client: Callable[..., Any]) -> Iterator[Any]:
    with make_client(server__allowed_hosts="127.0.0.1,testserver") as client:
        yield schemathesis.openapi.from_asgi("/openapi.json", client.app)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        ("POST", MASK, POSITIVE),
        ("POST", MASK, NEGATIVE),
        ("POST", DETECT, POSITIVE),
        ("POST", DETECT, NEGATIVE),
        ("GET", "/readyz", POSITIVE),
        ("GET", "/livez", POSITIVE),
        ("GET", "/metrics", POSITIVE),
    ],
)
def test_the_document_keeps_its_promises(schema: Any, method: str, path: str, mode: GenerationMode) -> None:
    @SOME
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        # Bytes that are no image fit the document's schema of a body, and are refused all the same.
        response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
        assert response.status_code < 500

    fuzz()


@pytest.mark.parametrize("path", [MASK, DETECT])
def test_the_document_keeps_its_promises_on_real_images(schema: Any, picture: Callable[..., bytes], path: str) -> None:
    photos = {"image/jpeg": picture(".jpg"), "image/png": picture(".png"), "image/webp": picture(".webp")}

    @SOME
    @given(case=schema[path]["POST"].as_strategy(generation_mode=POSITIVE), kind=st.sampled_from(sorted(photos)))
    def fuzz(case: Any, kind: str) -> None:
        case.media_type, case.body = kind, photos[kind]
        for region in ("keep", "mask"):
            # That x2 exceeds x1, and that the box lies in the picture, is more than a schema can say.
            (case.query or {}).pop(region, None)
        # The case no longer is the one that was drawn, which confuses the check for bad ones that are accepted.
        response = case.call_and_validate(excluded_checks=[negative_data_rejection])
        # The model of the tests brings no averages, and skin tone can be kept in one style alone.
        asked = case.query or {}
        cannot = asked.get("style") == AVERAGES or (asked.get("tone") == "keep" and asked.get("style") != TONED)
        assert response.status_code == (422 if cannot else 200)

    fuzz()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_mutated_file_is_masked_or_refused(client: TestClient, picture: Callable[..., bytes], suffix: str) -> None:
    whole = picture(suffix, width=96, height=64, faces=1)

    @SOME
    @given(
        flips=st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), max_size=6),
        start=st.one_of(st.just(0), st.integers(0, len(whole))),
        end=st.one_of(st.just(len(whole)), st.integers(0, len(whole))),
        doubled=st.booleans(),
    )
    def mutate(flips: list[tuple[int, int]], start: int, end: int, doubled: bool) -> None:
        body = bytearray(whole)
        for position, bits in flips:
            body[position] ^= bits
        sent = bytes(body[start:end]) * (2 if doubled else 1)
        answer = client.post(MASK, content=sent, headers={"Cache-Control": "no-store"})
        assert answer.status_code in (200, 400, 413, 415, 422)
        if answer.status_code == 200:
            Image.open(io.BytesIO(answer.content)).load()
            assert len(Image.open(io.BytesIO(answer.content)).getexif()) == 0
        else:
            assert answer.headers["content-type"] == "application/problem+json"
            assert not any(sent[at : at + 12] in answer.content for at in range(len(sent) - 11))

    mutate()
