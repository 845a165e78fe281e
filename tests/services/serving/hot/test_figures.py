"""What is counted in one go is what would be counted one by one."""

from hypothesis import given
from hypothesis import strategies as st

from mlops.metrics import SECONDS, Metrics
from services.serving.hot.figures import Figures

ROUTES = st.sampled_from(["/predict", "/v2/models/{name}/infer"])
TIMES = st.one_of(st.sampled_from(SECONDS), st.floats(0, 100))


def shown(metrics: Metrics) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    return sorted(
        (sample.name, tuple(sorted(sample.labels.items())), round(sample.value, 6))
        for family in (metrics.requests, metrics.request_seconds)
        for metric in family.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    )


@given(turns=st.lists(st.lists(st.tuples(ROUTES, st.sampled_from([200, 422, 503]), TIMES), max_size=8), max_size=4))
def test_turns_count_as_single_answers_do(turns: list[list[tuple[str, int, float]]]) -> None:
    together, single = Metrics(), Metrics()
    figures = Figures(together)
    for turn in turns:
        for route, status, seconds in turn:
            figures.add(route, status, seconds)
            single.request[route, "POST", str(status)].inc()
            single.request_time[(route,)].observe(seconds)
        figures.settle()
    assert shown(together) == shown(single)
