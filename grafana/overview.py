"""The first dashboard: what callers get, what serving does for it, what it stands on."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, timeseries
from grafana_foundation_sdk.models.common import BigValueTextMode

from grafana.panels import Query, board_of, graph, none_by, single

ROUTES: Final = 'job="serving",route=~"/(v1|v2/models)/.+|/predict"'
REQUESTS: Final = f"masker_requests_total{{{ROUTES}}}"


def _state() -> list[stat.Panel]:
    """Return the first row: is all well, and what serves?"""
    model = single(
        "Model served",
        "Version and precision of the models that answer; several of one where replicas differ.",
        Query(
            'max by (model, version, precision) (masker_model_info{job="serving"})',
            "{{model}} v{{version}} {{precision}}",
        ),
        "short",
    ).text_mode(BigValueTextMode.NAME)
    return [
        single(
            "Replicas ready",
            "Replicas of serving with a warmed and tested model.",
            Query('sum(masker_ready{job="serving"})', "ready"),
            "short",
            red_below=1,
        ),
        model,
        single(
            "Answered without a server error, last hour",
            "The promise is 99.9 % over 30 days.",
            Query("1 - masker:request_errors:ratio_rate1h", "answered"),
            "percentunit",
            red_below=0.999,
        ).decimals(2),
        single(
            "Alerts firing",
            "Open them in Prometheus or Alertmanager; each names its page of the runbook.",
            Query('count(ALERTS{alertstate="firing"}) or on() vector(0)', "alerts"),
            "short",
        ),
    ]


def _traffic() -> list[timeseries.Panel]:
    """Return what callers see."""
    latency = f'sum by (le) (rate(masker_request_seconds_bucket{{{ROUTES},route!="/v1/mask/audio"}}[$__rate_interval]))'
    return [
        graph(
            "Requests",
            "By route.",
            "reqps",
            Query(f"sum by (route) (rate({REQUESTS}[$__rate_interval]))", "{{route}}"),
            stacked=True,
        ),
        graph(
            "Answers",
            "By status.",
            "reqps",
            Query(f"sum by (status) (rate({REQUESTS}[$__rate_interval]))", "{{status}}"),
            stacked=True,
        ),
        graph(
            "Time to answer",
            "Over all routes but that for sound; the alert is at 2 s for the 99th percentile.",
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
        graph(
            "Time in each stage",
            "Mean over the requests that went through the stage.",
            "s",
            Query(
                f"sum by (stage) (rate({stage.format(part='sum')}))"
                f" / (sum by (stage) (rate({stage.format(part='count')})) > 0)",
                "{{stage}}",
            ),
        ),
        graph(
            "Faces masked",
            "A second, by style.",
            "short",
            Query('sum by (style) (rate(masker_faces_masked_total{job="serving"}[$__rate_interval]))', "{{style}}"),
        ),
        graph(
            "Images",
            "A second, by what came of them.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_images_total{job="serving"}[$__rate_interval]))' + none_by("outcome"),
                "{{outcome}}",
            ),
            stacked=True,
        ),
        graph(
            "Sound masked",
            "Seconds of sound in a second, by style; what jobs mask is not in it.",
            "short",
            Query(
                'sum by (style) (rate(masker_sound_seconds_total{job="serving"}[$__rate_interval]))' + none_by("style"),
                "{{style}}",
            ),
        ),
        graph(
            "Sound files",
            "A second, by what came of them; queued ones became jobs.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_sounds_total{job="serving"}[$__rate_interval]))' + none_by("outcome"),
                "{{outcome}}",
            ),
            stacked=True,
        ),
        graph(
            "Answers from the cache",
            "Share of the looks into each tier that found the answer.",
            "percentunit",
            Query(f"({hits} or 0 * {looks}) / ({looks} > 0)", "{{tier}}"),
        ),
        graph(
            "Queue",
            "Images and sound files that wait for a thread, over all replicas.",
            "short",
            Query('sum(masker_queue_depth{job="serving"})', "waiting"),
        ),
        graph(
            "Refused under load",
            "Requests a second that got 503 because they would have waited too long, 504, or 429 for their rate.",
            "reqps",
            Query(
                'sum by (reason) (rate(masker_shed_total{job="serving"}[$__rate_interval]))' + none_by("reason"),
                "{{reason}}",
            ),
        ),
        graph(
            "Held back for their rate",
            "Requests a second that got 429: a client asks more often than limits.client_requests allows.",
            "reqps",
            Query(
                'sum(rate(masker_shed_total{job="serving",reason="rate"}[$__rate_interval])) or on() vector(0)',
                "refused",
            ),
        ),
        graph(
            "Bodies held",
            "Bytes of request bodies in memory, over all replicas; limits.held_bytes bounds those of each.",
            "bytes",
            Query('sum(masker_held_bytes{job="serving"})', "held"),
        ),
        graph(
            "Requests under way",
            "Over all replicas, without the one that asks for metrics.",
            "short",
            Query('sum(clamp_min(masker_requests_running{job="serving"} - 1, 0))', "requests"),
        ),
        graph(
            "Error budget burn",
            "1 spends the budget of 30 days in 30 days; pages come at 14.4 and 6.",
            "short",
            *(Query(f"masker:request_errors:ratio_rate{w} / 0.001", w) for w in ("5m", "1h", "6h", "3d")),
        ),
    ]


def _lasting() -> list[timeseries.Panel]:
    """Return what outlasts a request: jobs, such as videos, and live streams."""
    # NaN, the quantile of nothing, is not >= 0. Jobs end now and then only, so theirs are asked over an hour.
    job = (
        'histogram_quantile({q}, sum by (le) (rate(masker_job_seconds_bucket{{job="worker"}}[1h]))) >= 0'
        " or on() vector(0)"
    )
    live = (
        "histogram_quantile({q},"
        ' sum by (le) (rate(masker_live_{what}_seconds_bucket{{job="serving"}}[$__rate_interval]))) >= 0'
        " or on() vector(0)"
    )
    return [
        graph(
            "Jobs",
            "Those that wait, and those that a worker does; nothing is shown while the table of jobs is away.",
            "short",
            Query('sum(masker_jobs_waiting{job="worker"})', "waiting"),
            Query('sum(masker_jobs_running{job="worker"})', "running"),
            stacked=True,
        ),
        graph(
            "Jobs ended",
            "Over the last hour, by what came of them.",
            "short",
            Query('sum by (state) (increase(masker_jobs_total{job="worker"}[1h]))' + none_by("state"), "{{state}}"),
            stacked=True,
        ),
        graph(
            "Time for a job",
            "The attempt that gave the result, over the last hour; the wait before it is not in it.",
            "s",
            *(Query(job.format(q=q), f"p{q * 100:.0f}") for q in (0.5, 0.95)),
        ),
        graph(
            "Live streams",
            "Streams of pictures and of sound that are masked now, over all replicas.",
            "short",
            Query('sum(masker_live_sessions{job="serving"})', "streams"),
        ),
        graph(
            "Live frames",
            "Answered in a second: masked, or black because something was wrong with them.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_live_frames_total{job="serving"}[$__rate_interval]))'
                + none_by("outcome"),
                "{{outcome}}",
            ),
            stacked=True,
        ),
        graph(
            "Time for a live frame",
            "From a frame to its answer.",
            "s",
            *(Query(live.format(q=q, what="frame"), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)),
        ),
        graph(
            "Live sound",
            "Chunks answered in a second: masked, or silent because something was wrong with them.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_live_chunks_total{job="serving"}[$__rate_interval]))'
                + none_by("outcome"),
                "{{outcome}}",
            ),
            stacked=True,
        ),
        graph(
            "Time for a live chunk",
            "From a chunk of sound to its answer; longer than the chunk lasts, and the stream falls behind.",
            "s",
            *(Query(live.format(q=q, what="chunk"), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)),
        ),
    ]


def _ground() -> list[timeseries.Panel]:
    """Return what it all stands on."""
    return [
        graph(
            "Processor",
            "Cores in use, by service.",
            "short",
            Query("sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{job}}"),
        ),
        graph(
            "Memory",
            "Resident, by service.",
            "bytes",
            Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
        ),
        graph(
            "Redis memory",
            "The shared cache; past its limit the least used answers are dropped.",
            "bytes",
            Query("redis_memory_used_bytes", "used"),
            Query("redis_memory_max_bytes", "limit"),
        ),
    ]


def overview() -> dashboard.Dashboard:
    """Return the dashboard."""
    rows = {"Answers": _traffic, "Work": _work, "Jobs and live": _lasting, "Ground": _ground}
    return board_of(
        "Masking: overview", "masking-overview", _state(), {title: panels() for title, panels in rows.items()}
    )
