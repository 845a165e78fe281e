"""Everything runs and is well, nothing but the proxy can leave, and nobody holds a secret that is not his."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("proxy")]
ONE_SHOT = {"database", "secrets"}
Containers = Callable[[], list[dict[str, Any]]]
# An address for documentation (RFC 5737), which no machine has. "No route" comes at once, from the container itself.
NO_WAY_OUT = """
import errno, socket, sys
with socket.socket() as outside:
    outside.settimeout(3)
    sys.exit(0 if outside.connect_ex(("192.0.2.1", 443)) in (errno.ENETUNREACH, errno.EHOSTUNREACH) else 1)
"""


def inspected(container: str) -> dict[str, Any]:
    told = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True).stdout
    return json.loads(told)[0]


def test_every_service_is_well(containers: Containers, compose: Callable[..., str], until: Callable[..., Any]) -> None:
    expected = set(compose("config", "--services").split())
    assert {"serving", "control", "worker", "mlflow", "postgres", "redis", "prometheus", "grafana", "proxy"} <= expected

    def well() -> bool:
        states = {each["Service"]: (each["State"], each["Health"], each["ExitCode"]) for each in containers()}
        once = {states.pop(name) for name in ONE_SHOT}
        return (
            once == {("exited", "", 0)}
            and set(states) == expected - ONE_SHOT
            and set(states.values()) == {("running", "healthy", 0)}
        )

    until(well)


def test_only_the_proxy_is_on_a_network_with_a_way_out(containers: Containers) -> None:
    for each in containers():
        networks = {name.rsplit("_")[-1] for name in inspected(each["Name"])["NetworkSettings"]["Networks"]}
        expected = {"proxy": {"inside", "edge"}, "secrets": {"none"}}
        assert networks == expected.get(each["Service"], {"inside"}), each["Service"]
    inside = subprocess.run(
        ["docker", "network", "inspect", f"{containers()[0]['Project']}_inside"], capture_output=True, check=True
    )
    assert json.loads(inside.stdout)[0]["Internal"] is True


@pytest.mark.parametrize("service", ["serving", "control", "worker", "mlflow"])
def test_a_service_cannot_reach_the_outside(service: str, compose: Callable[..., str]) -> None:
    compose("exec", "-T", service, "python", "-I", "-c", NO_WAY_OUT)


def test_ports_are_published_on_loopback_only(containers: Containers) -> None:
    for each in containers():
        bindings = [port for ports in inspected(each["Name"])["HostConfig"]["PortBindings"].values() for port in ports]
        assert {binding["HostIp"] for binding in bindings} <= {"127.0.0.1"}
        assert bool(bindings) == (each["Service"] == "proxy")


@pytest.mark.parametrize("service", ["serving", "control", "worker", "mlflow", "proxy"])
def test_our_processes_are_nobody_special_and_cannot_write(service: str, compose: Callable[..., str]) -> None:
    assert compose("exec", "-T", service, "id", "-u").strip() == "10001"
    compose("exec", "-T", service, "sh", "-c", "! touch /srv/x 2>/dev/null && touch /tmp/x && rm /tmp/x")


def test_serving_cannot_change_the_model_that_it_is_given(compose: Callable[..., str]) -> None:
    compose("exec", "-T", "serving", "sh", "-c", "! touch /var/lib/masker/bundles/x 2>/dev/null")


@pytest.mark.parametrize(
    ("service", "secret"),
    [("serving", "cache_secret"), ("postgres", "postgres_password"), ("grafana", "grafana_admin_password")],
)
def test_a_service_sees_its_own_secret_alone(service: str, secret: str, compose: Callable[..., str]) -> None:
    assert compose("exec", "-T", service, "ls", "/run/secrets").split() == [secret]
    assert len(compose("exec", "-T", service, "cat", f"/run/secrets/{secret}")) == 64


@pytest.mark.parametrize("service", ["serving", "worker"])
def test_only_its_owner_reads_the_media_of_jobs(service: str, compose: Callable[..., str]) -> None:
    assert compose("exec", "-T", service, "stat", "-c", "%a %u", "/var/lib/masker/spool").split() == ["700", "10001"]


def test_the_platforms_user_sees_its_own_database_alone(compose: Callable[..., str]) -> None:
    asked = "SELECT has_database_privilege('platform', datname, 'CONNECT') FROM pg_database WHERE datname = '{}'"
    for name, allowed in (("platform", "t"), ("mlflow", "f")):
        told = compose("exec", "-T", "postgres", "psql", "-U", "masker", "-d", "mlflow", "-tAc", asked.format(name))
        assert told.strip() == allowed


def test_no_secret_lies_in_an_environment_or_a_command(containers: Containers, compose: Callable[..., str]) -> None:
    password = compose("exec", "-T", "postgres", "cat", "/run/secrets/postgres_password")
    seal = compose("exec", "-T", "serving", "cat", "/run/secrets/cache_secret")
    platform = compose("exec", "-T", "worker", "cat", "/run/platform/platform_password")
    for each in containers():
        told = json.dumps(inspected(each["Name"]))
        assert password not in told
        assert seal not in told
        assert platform not in told
