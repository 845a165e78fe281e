"""Rounds in their threads."""

import threading
import time

from fastapi.testclient import TestClient

from mlops.metrics import Metrics
from mlops.settings import load_settings
from services.asgi.app import create_app
from services.worker.rounds import Round, rounds_part
from tests.patience import PATIENCE_SECONDS, until


def wait_for(condition: threading.Event) -> None:
    assert condition.wait(PATIENCE_SECONDS)


def test_rounds_go_on_until_the_end_and_are_closed() -> None:
    ran, closed = threading.Event(), threading.Event()
    counts: list[int] = []

    def run() -> None:
        counts.append(1)
        if len(counts) == 3:
            ran.set()

    metrics = Metrics()
    part = rounds_part([Round("look", 0.01, run, closed.set)], metrics)
    with TestClient(create_app(load_settings(environ={}), metrics, [part], "rounds"), "http://localhost") as client:
        wait_for(ran)
        assert client.get("/readyz").status_code == 200
        assert not closed.is_set()
    wait_for(closed)
    done = len(counts)
    time.sleep(0.1)
    assert len(counts) == done
    assert metrics.registry.get_sample_value("masker_rounds_total", {"round": "look", "outcome": "done"}) == done
    assert (metrics.registry.get_sample_value("masker_round_success_seconds", {"round": "look"}) or 0) > 1e9


def test_a_round_that_fails_is_counted_and_tried_again_and_disturbs_no_other() -> None:
    failed, ran = threading.Event(), threading.Event()
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        if len(tries) == 3:
            failed.set()
        raise RuntimeError("it does not work")

    metrics = Metrics()
    part = rounds_part([Round("broken", 0.01, fail), Round("whole", 0.01, ran.set)], metrics)
    value = metrics.registry.get_sample_value
    began = value("masker_round_success_seconds", {"round": "broken"})
    with TestClient(create_app(load_settings(environ={}), metrics, [part], "rounds"), "http://localhost"):
        wait_for(failed)
        ran.clear()
        wait_for(ran)
    # One that never goes well shows since when, so that its silence can be told.
    assert began is not None
    assert began > 1e9
    assert value("masker_round_success_seconds", {"round": "broken"}) == began
    # It is counted behind the third try, which the end may not have waited for.
    until(lambda: (value("masker_rounds_total", {"round": "broken", "outcome": "failed"}) or 0) >= 3)
    assert value("masker_rounds_total", {"round": "broken", "outcome": "done"}) == 0
    assert value("masker_rounds_total", {"round": "whole", "outcome": "failed"}) == 0


def test_a_round_that_hangs_does_not_keep_the_end_waiting_for_ever() -> None:
    begun, let_go, over = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        let_go.wait(PATIENCE_SECONDS)
        over.set()

    metrics = Metrics()
    part = rounds_part([Round("hangs", 0.01, hang)], metrics, end_seconds=0.2)
    with TestClient(create_app(load_settings(environ={}), metrics, [part], "rounds"), "http://localhost"):
        wait_for(begun)
    assert not over.is_set()
    let_go.set()
    wait_for(over)
