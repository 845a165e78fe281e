"""Every Prometheus metric of the platform, on a registry that is handed down and never shared by accident.

Base units (seconds, bytes), ratios in 0-1. Labels take values from short, fixed lists: no user, no file, no path.
"""

from typing import Final, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of the histograms; 2 s is there because the promise on latency is made at 2 s."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


C = TypeVar("C", Counter, Gauge, Histogram)


class Children(dict[tuple[str, ...], C], Generic[C]):
    """The children of a metric by the values of its labels, each looked up once: for what is counted on hot ways."""

    def __init__(self, metric: C) -> None:
        super().__init__()
        self._metric: C = metric

    def __missing__(self, values: tuple[str, ...]) -> C:
        """Return the child of values that were not asked for before."""
        child: C = self._metric.labels(*values)
        self[values] = child
        return child


class Metrics:
    """The metrics of one process."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self.requests = Counter(
            "masker_requests_total", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "masker_request_seconds", "From request to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self.request = Children(self.requests)
        self.request_time = Children(self.request_seconds)
        self.requests_running = Gauge("masker_requests_running", "Requests not answered yet.", registry=registry)
        self.stage_seconds = Histogram(
            "masker_stage_seconds", "One stage of the pipeline.", ["stage"], buckets=SECONDS, registry=registry
        )
        self.stage = Children(self.stage_seconds)
        self.faces_masked = Counter(
            "masker_faces_masked_total", "Faces masked in images handed out.", ["style"], registry=registry
        )
        self.images = Counter("masker_images_total", "Images taken.", ["kind", "outcome"], registry=registry)
        self.sounds = Counter(
            "masker_sounds_total",
            "Sound files taken.",
            ["style", "outcome"],
            registry=registry,
        )
        self.sound_seconds = Counter(
            "masker_sound_seconds_total", "Seconds of sound in masked files handed out.", ["style"], registry=registry
        )
        self.cache_requests = Counter(
            "masker_cache_requests_total", "Looks into the answers cache.", ["tier", "outcome"], registry=registry
        )
        self.cache_bytes = Gauge("masker_cache_memory_bytes", "Bytes of answers kept in process.", registry=registry)
        self.redis_up = Gauge("masker_redis_up", "1 if Redis answered the last call to it.", registry=registry)
        self.queue_depth = Gauge(
            "masker_queue_depth", "Images and sound files that wait for a thread.", registry=registry
        )
        self.held_bytes = Gauge("masker_held_bytes", "Bytes of request bodies held.", registry=registry)
        self.shed = Counter("masker_shed_total", "Requests refused under load.", ["reason"], registry=registry)
        self.model_info = Gauge(
            "masker_model_info", "1 for the model that serves.", ["model", "version", "precision"], registry=registry
        )
        self.model_swaps = Counter("masker_model_swaps_total", "Models loaded.", ["outcome"], registry=registry)
        self.variant_weight = Gauge(
            "masker_variant_weight",
            "Share of the traffic that each variant is to get, in 0-1.",
            ["endpoint", "variant", "version"],
            registry=registry,
        )
        self.shadows = Counter(
            "masker_shadows_total",
            "Copies of requests that a candidate was to have.",
            ["endpoint", "outcome"],
            registry=registry,
        )
        self.live_sessions = Gauge("masker_live_sessions", "Live streams masked now.", registry=registry)
        self.live_frames = Counter("masker_live_frames_total", "Live frames answered.", ["outcome"], registry=registry)
        self.live_seconds = Histogram(
            "masker_live_frame_seconds", "From a live frame to its answer.", buckets=SECONDS, registry=registry
        )
        self.live_chunks = Counter(
            "masker_live_chunks_total", "Live chunks of sound answered.", ["outcome"], registry=registry
        )
        self.live_chunk_seconds = Histogram(
            "masker_live_chunk_seconds", "From a live chunk to its answer.", buckets=SECONDS, registry=registry
        )
        self.predictions = Counter(
            "masker_predictions_total", "Calls of generic endpoints.", ["endpoint", "outcome"], registry=registry
        )
        self.variant_requests = Counter(
            "masker_variant_requests_total",
            "Rows of predictions that variants left.",
            ["endpoint", "variant", "outcome"],
            registry=registry,
        )
        self.variant = Children(self.variant_requests)
        self.variant_seconds = Histogram(
            "masker_variant_seconds",
            "From request to answer, of a fair sample of the answers that a variant made anew.",
            ["endpoint", "variant"],
            buckets=SECONDS,
            registry=registry,
        )
        self.variant_time = Children(self.variant_seconds)
        self.predictions_written = Counter(
            "masker_predictions_written_total", "Rows of predictions in the database.", registry=registry
        )
        self.predictions_lost = Counter(
            "masker_predictions_lost_total", "Rows of predictions that were given up.", ["reason"], registry=registry
        )
        self.captures = Counter(
            "masker_captures_total", "Captures, by what became of them.", ["outcome"], registry=registry
        )
        self.predictions_spool_bytes = Gauge(
            "masker_predictions_spool_bytes", "Bytes of rows that wait for the database.", registry=registry
        )
        self.ready = Gauge("masker_ready", "1 if a warmed, tested model serves.", registry=registry)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
