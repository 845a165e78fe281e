import re

from mlops.metrics import Metrics


def test_two_sets_of_metrics_live_side_by_side() -> None:
    one, other = Metrics(), Metrics()
    one.requests.labels("/livez", "GET", "200").inc()
    assert b'masker_requests_total{method="GET",route="/livez",status="200"} 1.0' in one.exposition()
    assert b'route="/livez"' not in other.exposition()


def test_every_metric_has_our_prefix_a_base_unit_and_help() -> None:
    families = list(Metrics().registry.collect())
    ours = [family for family in families if not re.match(r"process_|python_", family.name)]
    assert {family.name.split("_")[0] for family in ours} == {"masker"}
    assert all(family.documentation for family in ours)
    assert not [family.name for family in ours if re.search(r"_(ms|milliseconds|percent|kb|mb)$", family.name)]


def test_the_process_is_watched() -> None:
    shown = Metrics().exposition()
    assert b"process_resident_memory_bytes" in shown
    assert b"python_info" in shown
