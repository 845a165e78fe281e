"""A query parameter that there is not is an error at every route of the platform API."""

from starlette.testclient import TestClient

OPEN = ("/livez", "/readyz", "/metrics")
"""Probes and Prometheus ask as they like."""


def test_a_misspelt_parameter_is_an_error_everywhere(control: TestClient) -> None:
    paths = control.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, methods in paths.items() if path not in OPEN for method in methods]
    assert len(asked) > 30
    for method, path in asked:
        address = path.format(identity="a" * 32, name="demo")
        answer = control.request(method, address, params={"surprise": 1}, headers={"X-Actor": "ada"})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "unknown-parameter"), path
