import json
import pickle
import socket
import sqlite3
import threading
from pathlib import Path

import pytest

from mlops.jobs import queue as queue_module
from mlops.jobs.queue import JobQueue, JsonSerializer, QueueAway
from mlops.jobs.settings import JobSettings
from mlops.layers import InvalidSettings
from mlops.settings import load_settings
from tests.patience import PATIENCE_SECONDS


def settings(tmp_path: Path, **more: str) -> JobSettings:
    given = {"MASKER_JOBS__SPOOL_PATH": str(tmp_path / "jobs")} | more
    return load_settings(environ=given).jobs


def test_names_reach_the_consumer_in_order(tmp_path: Path) -> None:
    producer = JobQueue(settings(tmp_path))
    for name in ("first", "second", "third"):
        producer.put(name)
    assert producer.waiting() == 3
    got: list[str] = []
    all_there = threading.Event()

    def run(name: str) -> None:
        got.append(name)
        if len(got) == 4:
            all_there.set()

    worker = JobQueue(settings(tmp_path), run)
    consumer = worker.consumer(workers=1)
    consumer.start()
    try:
        producer.put("fourth")
        assert all_there.wait(PATIENCE_SECONDS)
    finally:
        consumer.stop(graceful=True)
        worker.close()
        producer.close()
    assert got == ["first", "second", "third", "fourth"]


def test_what_lies_in_the_queue_is_json(tmp_path: Path) -> None:
    queue = JobQueue(settings(tmp_path))
    queue.put("first")
    queue.close()
    connection = sqlite3.connect(tmp_path / "jobs" / "queue.db")
    (data,) = connection.execute("select data from task").fetchone()
    connection.close()
    assert ["first"] in json.loads(data)


@pytest.mark.parametrize("data", [pickle.dumps(["x"]), b"{}", b"[]", b'["x"]', b"\xff"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no message"):
        JsonSerializer().deserialize(data)


def test_a_redis_that_is_away_is_told_of(tmp_path: Path, closed_port: int) -> None:
    queue = JobQueue(settings(tmp_path, MASKER_JOBS__QUEUE_URL=f"redis://127.0.0.1:{closed_port}/1"))
    with pytest.raises(QueueAway):
        queue.put("first")
    with pytest.raises(QueueAway):
        queue.waiting()


def test_a_redis_that_never_answers_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        queue = JobQueue(settings(tmp_path, MASKER_JOBS__QUEUE_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/1"))
        with pytest.raises(QueueAway):
            queue.waiting()


def test_a_url_that_is_none_of_redis_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"jobs\.queue_url"):
        JobQueue(settings(tmp_path, MASKER_JOBS__QUEUE_URL="http://host"))
