"""The second dashboard: which version gets whose traffic and how it does, experiments, and what is kept of all that."""

from grafana_foundation_sdk.builders import dashboard, stat, timeseries

from grafana.panels import Query, board_of, graph, none_by, single

NOTHING = " or on() vector(0)"
QUANTILES = (0.5, 0.95)


def _state() -> list[stat.Panel]:
    """Return the first row: does anything move, and is anything lost?"""
    return [
        single(
            "Releases open",
            "Those that wait for people, and those that have an endpoint's traffic.",
            Query(f'sum(masker_releases_open{{job="worker"}}){NOTHING}', "releases"),
            "short",
        ),
        single(
            "Rolled back, last day",
            "By the guard or by people; the audit log says which.",
            Query(f'sum(increase(masker_release_moves_total{{job="worker",to="rolled_back"}}[1d])){NOTHING}', "back"),
            "short",
        ).decimals(0),
        single(
            "Experiments open",
            "Those that split traffic, and those that wait for it.",
            Query(f'sum(masker_experiments_open{{job="worker"}}){NOTHING}', "experiments"),
            "short",
        ),
        single(
            "Predictions lost, last day",
            "Rows that were given up, for whatever reason.",
            Query(f"sum(increase(masker_predictions_lost_total[1d])){NOTHING}", "rows"),
            "short",
            red_above=1,
        ).decimals(0),
    ]


def _releases() -> list[timeseries.Panel]:
    """Return how releases go, and who gets what."""
    return [
        graph(
            "Releases by phase",
            "Those that have not ended.",
            "short",
            Query(
                'sum by (endpoint, phase) (masker_releases_open{job="worker"}) > 0' + none_by("phase"),
                "{{endpoint}} {{phase}}",
            ),
            stacked=True,
        ),
        graph(
            "Moves of releases",
            "Over the last hour, by the phase they led to.",
            "short",
            Query('sum by (to) (increase(masker_release_moves_total{job="worker"}[1h])) > 0' + none_by("to"), "{{to}}"),
            stacked=True,
        ),
        graph(
            "Held beyond the step",
            "How long a release has stayed at a step that is due: the guard finds too little to say.",
            "s",
            Query(
                'max by (endpoint) (masker_release_overdue_seconds{job="worker"})' + none_by("endpoint"),
                "{{endpoint}}",
            ),
        ),
        graph(
            "Weight by version",
            "Share of the traffic, mean over the replicas.",
            "percentunit",
            Query(
                'avg by (endpoint, variant, version) (masker_variant_weight{job="serving"})',
                "{{endpoint}} {{variant}} v{{version}}",
            ),
        ),
        graph(
            "Versions that were refused",
            "Over the last hour: not what was registered (by the worker), or not to be loaded (by replicas).",
            "short",
            Query(
                f'sum(increase(masker_bundle_pulls_total{{job="worker",outcome="refused"}}[1h])){NOTHING}',
                "not as registered",
            ),
            Query(
                f'sum(increase(masker_model_swaps_total{{job="serving",outcome="failed"}}[1h])){NOTHING}', "not loaded"
            ),
        ),
        graph(
            "Copies for shadows",
            "A second, by what came of them; skipped ones would have been in the way.",
            "reqps",
            Query(
                'sum by (endpoint, outcome) (rate(masker_shadows_total{job="serving"}[$__rate_interval]))'
                + none_by("outcome"),
                "{{endpoint}} {{outcome}}",
            ),
            stacked=True,
        ),
    ]


def _variants() -> list[timeseries.Panel]:
    """Return what variants do, as their rows of predictions say."""
    rows = 'masker_variant_requests_total{job="serving"}'
    asked = f"sum by (endpoint, variant) (rate({rows}[$__rate_interval]))"
    failed = asked.replace("}", ',outcome="failed"}')
    buckets = 'masker_variant_seconds_bucket{job="serving"}'
    seconds = f"sum by (endpoint, variant, le) (rate({buckets}[$__rate_interval]))"
    return [
        graph(
            "Requests by variant",
            "From the rows of predictions; a request that a candidate failed at leaves a second row, by the champion.",
            "reqps",
            Query(asked, "{{endpoint}} {{variant}}"),
            stacked=True,
        ),
        graph(
            "Failed requests by variant",
            "Share that failed by no fault of the client's; what a candidate fails at is answered by the champion.",
            "percentunit",
            Query(f"({failed} or 0 * {asked}) / ({asked} > 0)" + none_by("variant"), "{{endpoint}} {{variant}}"),
        ),
        graph(
            "Time to answer by variant",
            "Of answers made anew, from a fair sample.",
            "s",
            *(
                Query(
                    f"histogram_quantile({q}, {seconds}) >= 0" + none_by("variant"),
                    f"{{{{endpoint}}}} {{{{variant}}}} p{q * 100:.0f}",
                )
                for q in QUANTILES
            ),
        ),
        graph(
            "Faces judged",
            "Faces in captured output that were looked at a second time, in an hour.",
            "short",
            Query(
                "sum by (variant, found) (increase(masker_judged_faces_total"
                '{job="worker",endpoint="faces"}[1h]))' + none_by("found"),
                "{{variant}} {{found}}",
            ),
        ),
    ]


def _experiments() -> list[timeseries.Panel]:
    """Return how experiments go."""
    return [
        graph(
            "Experiments",
            "Running, or waiting for a version or for the endpoint's traffic.",
            "short",
            Query(
                'sum by (endpoint, state) (masker_experiments_open{job="worker"}) > 0' + none_by("state"),
                "{{endpoint}} {{state}}",
            ),
            stacked=True,
        ),
        graph(
            "Subjects exposed",
            "By arm, as the last look found them; a look comes at most once a minute.",
            "short",
            Query(
                'max by (endpoint, arm) (masker_experiment_subjects{job="worker"})' + none_by("arm"),
                "{{endpoint}} {{arm}}",
            ),
        ),
        graph(
            "Sample ratio",
            "P-value that subjects came to the arms as planned, valid at all looks; below 0.001 an experiment stops.",
            "short",
            Query(
                'min by (endpoint) (masker_experiment_sample_ratio_p{job="worker"})' + none_by("endpoint"),
                "{{endpoint}}",
            ),
        ),
        graph(
            "Experiments stopped",
            "Over the last day, by why; a wrong ratio and a version that cannot be had are faults.",
            "short",
            Query(
                'sum by (cause) (increase(masker_experiments_stopped_total{job="worker"}[1d])) > 0' + none_by("cause"),
                "{{cause}}",
            ),
            stacked=True,
        ),
    ]


def _predictions() -> list[timeseries.Panel]:
    """Return what becomes of rows and captures."""
    return [
        graph(
            "Rows written",
            "Into the database, a second.",
            "short",
            Query("sum by (job) (rate(masker_predictions_written_total[$__rate_interval]))", "{{job}}"),
        ),
        graph(
            "Rows lost",
            "A second, by why.",
            "short",
            Query(
                "sum by (reason) (rate(masker_predictions_lost_total[$__rate_interval])) > 0" + none_by("reason"),
                "{{reason}}",
            ),
            stacked=True,
        ),
        graph(
            "Rows that wait",
            "Bytes in the spool on the disk; they grow while the database is away.",
            "bytes",
            Query('max(masker_predictions_spool_bytes{job="serving"})', "spool"),
        ),
        graph(
            "Not landed yet",
            "Age of the oldest prediction that is not in Parquet; they land once a minute.",
            "s",
            Query('time() - min(masker_predictions_landed_seconds{job="worker"})', "age"),
        ),
        graph(
            "Captures",
            "A second, by what became of them; full says that the disk guard has stopped them.",
            "short",
            Query(
                'sum by (outcome) (rate(masker_captures_total{job="serving"}[$__rate_interval]))' + none_by("outcome"),
                "{{outcome}}",
            ),
            stacked=True,
        ),
        graph(
            "Room for captures",
            "Bytes that captures take, and how many more they may take before they stop.",
            "bytes",
            Query('max(masker_captures_bytes{job="worker"})', "taken"),
            Query('min(masker_captures_room_bytes{job="worker"})', "left"),
        ),
    ]


def _loops() -> list[timeseries.Panel]:
    """Return what the worker does again and again."""
    return [
        graph(
            "Last success of each round",
            "How long ago; the release loop and that of experiments run twice a second.",
            "s",
            Query('time() - max by (round) (masker_round_success_seconds{job="worker"})', "{{round}}"),
        ),
        graph(
            "Rounds that failed",
            "A minute, by round; the log of the worker says of what.",
            "short",
            Query(
                '60 * sum by (round) (rate(masker_rounds_total{job="worker",outcome="failed"}[$__rate_interval]))'
                " > 0" + none_by("round"),
                "{{round}}",
            ),
            stacked=True,
        ),
        graph(
            "Releases that could not be carried on",
            "Looks in an hour that failed, such as for want of a file.",
            "short",
            Query(f'sum(increase(masker_release_failures_total{{job="worker"}}[1h])){NOTHING}', "looks"),
        ),
    ]


def releases() -> dashboard.Dashboard:
    """Return the dashboard."""
    rows = {
        "Releases": _releases,
        "Variants": _variants,
        "Experiments": _experiments,
        "Predictions and captures": _predictions,
        "Rounds of the worker": _loops,
    }
    return board_of(
        "Masking: releases", "masking-releases", _state(), {title: panels() for title, panels in rows.items()}
    )
