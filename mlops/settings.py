"""The typed settings tree, read once at start and handed down.

Layers, later ones win: ``configs/base.yaml``, ``configs/<environment>.yaml``, environment variables ``MASKER_…`` with
``__`` between section and setting (``MASKER_SERVING__THREADS=2``). ``MASKER_ENVIRONMENT`` picks the second layer.
The values live in the YAML files alone; this module says what they are. A name that no setting has is an error at
start, in either place.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from mlops.experiments.settings import ExperimentSettings
from mlops.jobs.settings import JobSettings
from mlops.layers import InvalidSettings, merged, read_yaml, strange_keys, strange_variables, told
from mlops.predictions.settings import CaptureSettings, PredictionSettings, SqlSettings
from mlops.registry.settings import RegistrySettings
from mlops.rollout.settings import RolloutSettings
from mlops.sections import Names, Section

PREFIX: Final = "MASKER_"
CONFIGS: Final = Path(__file__).resolve().parent.parent / "configs"
Environment = Literal["development", "staging", "production"]
ENVIRONMENTS: Final[tuple[str, ...]] = get_args(Environment)
SECRET_CHARACTERS: Final = 32


class ServerSettings(Section):
    """The HTTP server."""

    host: str
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)]
    """Port to listen on; 0 takes a free one."""
    allowed_hosts: Names
    """Host names (without port) that requests may be addressed to, against DNS rebinding; ``*`` allows all."""
    allowed_origins: Names
    """Web origins (``https://name:port``) beside the server's own whose pages may send more than reads."""
    cors_origins: Names
    """Web origins whose pages may also read the answers (CORS); ``*`` is all, for what needs no cookie."""
    trusted_proxies: Names
    """Addresses or networks whose ``X-Forwarded-…`` headers are believed."""
    graceful_seconds: PositiveInt
    """Seconds that running requests get to end after a stop signal."""
    keep_alive_seconds: PositiveInt
    """Seconds that an idle connection stays open."""


class LimitSettings(Section):
    """The largest inputs that are taken, and how often one client may ask."""

    image_bytes: PositiveInt
    """Bytes of one encoded image."""
    image_pixels: PositiveInt
    """Pixels of one image, known from its header before it is decoded."""
    image_side: PositiveInt
    """Pixels of the longer side of one image."""
    held_bytes: PositiveInt
    """Bytes of request bodies held at one time, over all requests."""
    upload_seconds: PositiveFloat
    """Seconds within which a request body must have arrived."""
    video_bytes: PositiveInt
    """Bytes of one video."""
    video_pixels: PositiveInt
    """Pixels of one frame of a video."""
    video_side: PositiveInt
    """Pixels of the longer side of a video."""
    video_seconds: PositiveFloat
    """Length of one video in seconds."""
    video_upload_seconds: PositiveFloat
    """Seconds within which a video, or a sound file, must have arrived."""
    video_idle_seconds: PositiveFloat
    """Longest pause in the arrival of a video, or of a sound file."""
    audio_bytes: PositiveInt
    """Bytes of one sound file."""
    audio_seconds: PositiveFloat
    """Length of one sound file in seconds."""
    audio_sync_seconds: PositiveFloat
    """Length in seconds up to which a sound file is answered at once; a longer one becomes a job."""
    audio_channels: PositiveInt
    """Channels of one sound file."""
    client_requests: NonNegativeInt
    """Requests that one client, known by its address, may send in ``client_seconds``; 0 for as many as he likes."""
    client_media_requests: NonNegativeInt
    """How many of them may be for media, below ``/v1/mask``, ``/v1/detect`` and ``/v1/explain``; 0 for any number."""
    client_seconds: PositiveInt
    """Seconds that both are counted over."""
    client_redis_url: SecretStr | None
    """Redis that replicas count clients in together (``redis://…``, may hold a password); null: each for itself."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.held_bytes < self.image_bytes:
            raise ValueError("held_bytes must be at least image_bytes")
        if self.audio_sync_seconds > self.audio_seconds:
            raise ValueError("audio_sync_seconds must be at most audio_seconds")
        return self


class MaskingSettings(Section):
    """What is done to a request that does not say."""

    style: str
    """Mask style."""
    threshold: Annotated[float, Field(ge=0.01, le=0.99)]
    """Score from which a detection is masked, in [0.01, 0.99]; lower masks more."""
    search: Literal["thorough", "fast"]
    """How hard faces are looked for in pictures; in videos and live streams it is ``fast`` unless a request asks."""
    voice_style: str
    """How voices are masked: ``strong``, ``one-voice`` or ``disguise``, which is light and makes nobody anonymous."""
    voice_background: Literal["drop", "keep"]
    """What becomes of sound that is no speech: silence, or it stays as it was."""


class ServingSettings(Section):
    """How the data plane shares the machine."""

    threads: NonNegativeInt
    """Images worked on at one time; 0 means one for each core that the process may use."""
    queue_seconds: PositiveFloat
    """Longest wait in the queue, whatever a request costs; one that would wait longer gets 503 at once."""
    answer_seconds: PositiveFloat
    """Seconds from the end of its upload in which a request is answered, or gets 503 at once."""
    answer_costs: Annotated[float, Field(ge=1.5)]
    """The same for a request that takes long by itself, such as a large photo, as a multiple of what it takes."""
    deadline_seconds: PositiveFloat
    """Seconds that one image may take from the end of its upload, waiting included; then 504."""
    reload_retry_seconds: PositiveFloat
    """Longest pause before a bundle that could not be loaded is tried again."""
    default_endpoint: str
    """Endpoint that ``/predict`` uses."""
    override_networks: Names
    """Addresses or networks whose requests may pick a variant by the header ``X-Variant``; empty for nobody."""
    predict_bytes: PositiveInt
    """Bytes of the body of one call of a generic endpoint."""
    predict_json_bytes: PositiveInt
    """Bytes of JSON in such a body: other requests wait while it is read, which binary tensors do not cause."""
    predict_seconds: PositiveFloat
    """Seconds that a call of a generic endpoint may wait; what would wait longer gets 503 at once."""
    replica: str
    """Name of this replica, which rolling releases go by; empty takes the host's name."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.queue_seconds >= self.deadline_seconds:
            raise ValueError("queue_seconds must be less than deadline_seconds")
        return self


class CacheSettings(Section):
    """The cache of masked answers."""

    ttl_seconds: PositiveInt
    """Seconds that an answer is kept."""
    memory_bytes: NonNegativeInt
    """Bytes of answers kept in the process; 0 keeps none."""
    entry_bytes: PositiveInt
    """Bytes of the largest answer that is kept anywhere."""
    redis_url: SecretStr | None
    """Redis shared by replicas (``redis://…``, may hold a password); null for none."""
    redis_timeout_seconds: PositiveFloat
    """Seconds to wait for Redis before an answer is made without it."""
    redis_retry_seconds: PositiveFloat
    """Seconds without a try after Redis has failed several times in a row."""
    secret: Annotated[SecretStr, Field(min_length=SECRET_CHARACTERS)] | None
    """At least 32 characters, the same for all replicas, that seal what lies in Redis; needed with ``redis_url``."""
    secret_file: Path | None
    """File that holds the secret, instead of ``secret``."""

    @model_validator(mode="after")
    def _sealed(self) -> Self:
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("give secret or secret_file, not both")
        if self.redis_url is not None and self.secret is None and self.secret_file is None:
            raise ValueError("redis_url needs secret or secret_file: what lies in Redis is sealed under it")
        return self

    def read_secret(self) -> bytes | None:
        """Return the secret, from its file where it has one.

        Raises:
            InvalidSettings: the file cannot be read or holds too little.
        """
        if self.secret_file is None:
            return self.secret.get_secret_value().encode() if self.secret else None
        try:
            secret = self.secret_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSettings("cache.secret_file: cannot be read") from error
        if len(secret) < SECRET_CHARACTERS:
            raise InvalidSettings(f"cache.secret_file: holds fewer than {SECRET_CHARACTERS} characters")
        return secret.encode()


class PlatformSettings(Section):
    """Where the command line finds the platform: releases, experiments, predictions."""

    url: str
    """Address that the commands talk to; ``--url`` goes before it."""


class DatabaseSettings(Section):
    """The platform's database: jobs, releases and approvals, experiments, the audit log."""

    url: SecretStr
    """``sqlite:///…`` (a file) or ``postgresql+psycopg2://…``; may hold a password."""
    password_file: Path | None
    """File that holds the password, instead of the URL."""


class LiveSettings(Section):
    """Live streams."""

    sessions: NonNegativeInt
    """Streams of pictures and of sound that are masked at one time; one more is refused."""
    frame_bytes: PositiveInt
    """Bytes of one frame."""
    frame_seconds: PositiveFloat
    """Longest time that a frame, or a chunk of sound, may take; then a black one is shown, or silence is given."""
    idle_seconds: PositiveFloat
    """A stream that sends nothing for so long is closed."""


class LoggingSettings(Section):
    """What is logged, and how."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    """Least severe level that is written."""
    format: Literal["json", "text"]
    """``json`` writes one object a line, ``text`` the same for human eyes."""
    access_lines: NonNegativeInt
    """Lines that the answers of one route may make in a second; more are left out, and counted in the next line. Errors
    are always logged."""


class Settings(BaseSettings):
    """The whole tree. Made by `load_settings`; nothing is read behind its back."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    environment: Environment
    """Which layer lies over the base: development, staging or production."""
    real_data: Path | None
    """Folder of real media that benchmarks and measurements read; null skips them."""
    registry: RegistrySettings
    server: ServerSettings
    limits: LimitSettings
    masking: MaskingSettings
    serving: ServingSettings
    cache: CacheSettings
    platform: PlatformSettings
    database: DatabaseSettings
    jobs: JobSettings
    live: LiveSettings
    rollout: RolloutSettings
    experiments: ExperimentSettings
    predictions: PredictionSettings
    capture: CaptureSettings
    sql: SqlSettings
    logging: LoggingSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load_settings` merged, and nothing else."""
        return (init_settings,)


def load_settings(configs: Path = CONFIGS, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all layers.

    Args:
        configs: folder of the YAML layers.
        environ: environment variables; those of the process unless given.

    Raises:
        InvalidSettings: naming every setting that is misspelt, missing or out of range.
    """
    # An empty variable is an unset one, as ``${NAME:-}`` in a compose file means it.
    given = {name: value for name, value in (os.environ if environ is None else environ).items() if value}
    ours = {name.lower(): value for name, value in given.items() if name.upper().startswith(PREFIX)}
    environment = ours.get(f"{PREFIX}environment".lower(), "development")
    if environment not in ENVIRONMENTS:
        raise InvalidSettings(f"{PREFIX}ENVIRONMENT: must be one of {', '.join(ENVIRONMENTS)}")
    values: dict[str, Any] = {}
    faults = strange_variables(ours, Settings, PREFIX)
    for layer in (configs / "base.yaml", configs / f"{environment}.yaml"):
        read = read_yaml(layer)
        if "environment" in read:
            faults.append(f"{layer.name}: environment: is chosen by {PREFIX}ENVIRONMENT alone")
        faults += [f"{layer.name}: {fault}" for fault in strange_keys(read, Settings)]
        values = merged(values, read)
    if faults:
        raise InvalidSettings("\n".join(faults))
    try:
        return Settings(**merged(values, _from_environment(ours)) | {"environment": environment})
    except ValidationError as error:
        raise InvalidSettings("\n".join(told(error))) from None


def _from_environment(ours: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(Settings)
    source.env_vars = dict(ours)
    return source()
