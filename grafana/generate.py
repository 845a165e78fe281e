"""Writes the Grafana dashboards from code: ``make dashboards``; the files are committed and never edited.

The dashboards ask the data source with the fixed uid ``prometheus``. Every query answers also when nothing has gone
wrong yet (``or vector(0)``), so that an empty panel means a fault of the panel and not a quiet day.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, Threshold, ThresholdsMode

FOLDER: Final = Path(__file__).resolve().parent / "dashboards"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
REQUESTS: Final = 'masker_requests_total{job="serving",route=~"/v1/.+"}'
STAT_HEIGHT: Final = 4
GRAPH_HEIGHT: Final = 8


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the legend of its series; the legend may name labels as ``{{label}}``."""

    expression: str
    legend: str


def _targets(panel: stat.Panel | timeseries.Panel, queries: tuple[Query, ...], *, instant: bool) -> None:
    for query in queries:
        target = prometheus.Dataquery().datasource(SOURCE).expr(query.expression).legend_format(query.legend)
        panel.with_target(target.instant() if instant else target.range())


def _stat(title: str, description: str, query: Query, unit: str, red_below: float | None = None) -> stat.Panel:
    steps = [Threshold(value=None, color="text")]
    if red_below is not None:
        steps = [Threshold(value=None, color="red"), Threshold(value=red_below, color="green")]
    panel = stat.Panel().title(title).description(description).datasource(SOURCE).unit(unit).span(6).height(STAT_HEIGHT)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).graph_mode(BigValueGraphMode.NONE)
    panel.color_mode(BigValueColorMode.VALUE)
    panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    _targets(panel, (query,), instant=True)
    return panel


def _graph(title: str, description: str, unit: str, *queries: Query, stacked: bool = False) -> timeseries.Panel:
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    panel.span(8).height(GRAPH_HEIGHT).min(0).fill_opacity(10).show_points(VisibilityMode.NEVER)
    legend = common.VizLegendOptions().show_legend(True)
    panel.legend(legend.display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM))
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A")).fill_opacity(40)
    _targets(panel, queries, instant=False)
    return panel


def _state() -> list[stat.Panel]:
    """Return the first row: is all well, and what serves?"""
    model = _stat(
        "Model served",
        "Version and precision of the models that answer; several of one where replicas differ.",
        Query(
            'max by (model, version, precision) (masker_model_info{job="serving"})',
            "{{model}} v{{version}} {{precision}}",
        ),
        "short",
    ).text_mode(BigValueTextMode.NAME)
    return [
        _stat(
            "Replicas ready",
            "Replicas of serving with a warmed and tested model.",
            Query('sum(masker_ready{job="serving"})', "ready"),
            "short",
            red_below=1,
        ),
        model,
        _stat(
            "Answered without a server error, last hour",
            "The promise is 99.9 % over 30 days.",
            Query("1 - masker:request_errors:ratio_rate1h", "answered"),
            "percentunit",
            red_below=0.999,
        ).decimals(2),
        _stat(
            "Alerts firing",
            "Open them in Prometheus or Alertmanager; each names its page of the runbook.",
            Query('count(ALERTS{alertstate="firing"}) or vector(0)', "alerts"),
            "short",
        ),
    ]


def _traffic() -> list[timeseries.Panel]:
    """Return what callers see."""
    latency = (
        'sum by (le) (rate(masker_request_seconds_bucket{job="serving",route=~"/v1/.+",route!="/v1/mask/audio"}'
        "[$__rate_interval]))"
    )
    return [
        _graph(
            "Requests",
            "By route.",
            "reqps",
            Query(f"sum by (route) (rate({REQUESTS}[$__rate_interval]))", "{{route}}"),
            stacked=True,
        ),
        _graph(
            "Answers",
            "By status.",
            "reqps",
            Query(f"sum by (status) (rate({REQUESTS}[$__rate_interval]))", "{{status}}"),
            stacked=True,
        ),
        _graph(
            "Time to answer",
            "Over all routes of /v1 but that for sound; the alert is at 2 s for the 99th percentile.",
            "s",
            *(Query(f"histogram_quantile({q}, {latency})", f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)),
        ),
    ]


def _work() -> list[timeseries.Panel]:
    """Return what serving does for its answers."""
    looks = 'sum by (tier) (rate(masker_cache_requests_total{job="serving"}[$__rate_interval]))'
    hits = looks.replace("}", ',outcome="hit"}')
    stage = 'masker_stage_seconds_{part}{{job="serving"}}[$__rate_interval]'
    return [
        _graph(
            "Time in each stage",
            "Mean over the requests that went through the stage.",
            "s",
            Query(
                f"sum by (stage) (rate({stage.format(part='sum')}))"
                f" / (sum by (stage) (rate({stage.format(part='count')})) > 0)",
                "{{stage}}",
            ),
        ),
        _graph(
            "Faces masked",
            "A second, by style.",
            "short",
            Query('sum by (style) (rate(masker_faces_masked_total{job="serving"}[$__rate_interval]))', "{{style}}"),
        ),
        _graph(
            "Sound masked",
            "Seconds of sound in a second, by style; what jobs mask is not in it.",
            "short",
            Query(
                'sum by (style) (rate(masker_sound_seconds_total{job="serving"}[$__rate_interval])) or vector(0)',
                "{{style}}",
            ),
        ),
        _graph(
            "Sound files",
            "A second, by what came of them; queued ones became jobs.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_sounds_total{job="serving"}[$__rate_interval])) or vector(0)',
                "{{outcome}}",
            ),
            stacked=True,
        ),
        _graph(
            "Answers from the cache",
            "Share of the looks into each tier that found the answer.",
            "percentunit",
            Query(f"({hits} or 0 * {looks}) / ({looks} > 0)", "{{tier}}"),
        ),
        _graph(
            "Queue",
            "Images and sound files that wait for a thread, over all replicas.",
            "short",
            Query('sum(masker_queue_depth{job="serving"})', "waiting"),
        ),
        _graph(
            "Refused under load",
            "Requests a second that got 503 because they would have waited too long, or 504.",
            "reqps",
            Query(
                'sum by (reason) (rate(masker_shed_total{job="serving"}[$__rate_interval])) or vector(0)', "{{reason}}"
            ),
        ),
        _graph(
            "Error budget burn",
            "1 spends the budget of 30 days in 30 days; pages come at 14.4 and 6.",
            "short",
            *(Query(f"masker:request_errors:ratio_rate{w} / 0.001", w) for w in ("5m", "1h", "6h", "3d")),
        ),
    ]


def _lasting() -> list[timeseries.Panel]:
    """Return what outlasts a request: jobs, such as videos, and live streams."""
    # NaN, the quantile of nothing, is not >= 0. Jobs end now and then only, so theirs are asked over an hour.
    job = 'histogram_quantile({q}, sum by (le) (rate(masker_job_seconds_bucket{{job="worker"}}[1h]))) >= 0 or vector(0)'
    live = (
        "histogram_quantile({q},"
        ' sum by (le) (rate(masker_live_{what}_seconds_bucket{{job="serving"}}[$__rate_interval]))) >= 0 or vector(0)'
    )
    return [
        _graph(
            "Jobs",
            "Those that wait, and those that a worker does; nothing is shown while the table of jobs is away.",
            "short",
            Query('sum(masker_jobs_waiting{job="worker"})', "waiting"),
            Query('sum(masker_jobs_running{job="worker"})', "running"),
            stacked=True,
        ),
        _graph(
            "Jobs ended",
            "Over the last hour, by what came of them.",
            "short",
            Query('sum by (state) (increase(masker_jobs_total{job="worker"}[1h])) or vector(0)', "{{state}}"),
            stacked=True,
        ),
        _graph(
            "Time for a job",
            "The attempt that gave the result, over the last hour; the wait before it is not in it.",
            "s",
            *(Query(job.format(q=q), f"p{q * 100:.0f}") for q in (0.5, 0.95)),
        ),
        _graph(
            "Live streams",
            "Streams of pictures and of sound that are masked now, over all replicas.",
            "short",
            Query('sum(masker_live_sessions{job="serving"})', "streams"),
        ),
        _graph(
            "Live frames",
            "Answered in a second: masked, or black because something was wrong with them.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_live_frames_total{job="serving"}[$__rate_interval])) or vector(0)',
                "{{outcome}}",
            ),
            stacked=True,
        ),
        _graph(
            "Time for a live frame",
            "From a frame to its answer.",
            "s",
            *(Query(live.format(q=q, what="frame"), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)),
        ),
        _graph(
            "Live sound",
            "Chunks answered in a second: masked, or silent because something was wrong with them.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_live_chunks_total{job="serving"}[$__rate_interval])) or vector(0)',
                "{{outcome}}",
            ),
            stacked=True,
        ),
        _graph(
            "Time for a live chunk",
            "From a chunk of sound to its answer; longer than the chunk lasts, and the stream falls behind.",
            "s",
            *(Query(live.format(q=q, what="chunk"), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)),
        ),
    ]


def _ground() -> list[timeseries.Panel]:
    """Return what it all stands on."""
    return [
        _graph(
            "Processor",
            "Cores in use, by service.",
            "short",
            Query("sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{job}}"),
        ),
        _graph(
            "Memory",
            "Resident, by service.",
            "bytes",
            Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
        ),
        _graph(
            "Redis memory",
            "The shared cache; past its limit the least used answers are dropped.",
            "bytes",
            Query("redis_memory_used_bytes", "used"),
            Query("redis_memory_max_bytes", "limit"),
        ),
    ]


def overview() -> dashboard.Dashboard:
    """Return the first dashboard: what callers get, what serving does for it, what it stands on."""
    board = dashboard.Dashboard("Masking: overview").uid("masking-overview").tags(["masker"]).readonly()
    board.description("Generated by grafana/generate.py.").time("now-1h", "now").refresh("10s").timezone("browser")
    board.tooltip(DashboardCursorSync.CROSSHAIR)
    for panel in _state():
        board.with_panel(panel)
    rows = {"Answers": _traffic, "Work": _work, "Jobs and live": _lasting, "Ground": _ground}
    for title, panels in rows.items():
        board.with_row(dashboard.Row(title))
        for graph in panels():
            board.with_panel(graph)
    return board


def rendered(board: dashboard.Dashboard) -> str:
    """Return the dashboard as JSON, with the panel ids and query letters that the SDK leaves empty."""
    content: dict[str, Any] = json.loads(json.dumps(board.build(), cls=JSONEncoder, sort_keys=True))
    for number, panel in enumerate(content["panels"], start=1):
        panel["id"] = number
        for place, target in enumerate(panel.get("targets", ())):
            target["refId"] = chr(ord("A") + place)
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


DASHBOARDS: Final = {"overview.json": overview}


def main() -> None:
    """Write every dashboard into its file."""
    for name, make in DASHBOARDS.items():
        (FOLDER / name).write_text(rendered(make()), "utf-8")


if __name__ == "__main__":
    main()
