from mlops.metrics import Metrics
from mlops.predictions.recorder import Recorder
from mlops.predictions.tally import SAMPLE, tally


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_rows_are_counted_by_variant_and_outcome(recorder: Recorder, metrics: Metrics, make) -> None:
    recorder.open()
    for variant, outcome in [("champion", "ok")] * 3 + [("challenger", "ok"), ("challenger", "failed")]:
        recorder.record(make(variant=variant, outcome=outcome))
    recorder.close()
    counted = {
        (variant, outcome): value(
            metrics, "masker_variant_requests_total", endpoint="faces", variant=variant, outcome=outcome
        )
        for variant in ("champion", "challenger")
        for outcome in ("ok", "failed")
    }
    assert counted == {
        ("champion", "ok"): 3,
        ("champion", "failed"): None,
        ("challenger", "ok"): 1,
        ("challenger", "failed"): 1,
    }


def test_only_what_a_variant_made_anew_is_timed(metrics: Metrics, make) -> None:
    tally(metrics, [make(seconds=0.5), make(outcome="cached", seconds=0.001), make(outcome="failed", seconds=9.0)])
    assert value(metrics, "masker_variant_seconds_count", endpoint="faces", variant="champion") == 1
    assert value(metrics, "masker_variant_seconds_sum", endpoint="faces", variant="champion") == 0.5


def test_of_many_rows_a_fair_sample_is_timed(metrics: Metrics, make) -> None:
    rows = [make(seconds=float(number % 2)) for number in range(15 * SAMPLE)]
    tally(metrics, rows)
    timed = value(metrics, "masker_variant_seconds_count", endpoint="faces", variant="champion")
    assert timed == SAMPLE
    assert value(metrics, "masker_variant_seconds_sum", endpoint="faces", variant="champion") == SAMPLE / 2
    assert value(metrics, "masker_variant_requests_total", endpoint="faces", variant="champion", outcome="ok") == len(
        rows
    )


def test_a_row_that_cannot_be_counted_costs_no_other(recorder: Recorder, metrics: Metrics, make) -> None:
    recorder.open()
    recorder.record(make(seconds=float("nan")))
    recorder.record(make(seconds="soon"))
    recorder.record(make())
    recorder.close()
    assert value(metrics, "masker_predictions_written_total") == 1
    tally(metrics, [make()])
    assert value(metrics, "masker_variant_seconds_sum", endpoint="faces", variant="champion") == 0.02
