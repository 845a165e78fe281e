from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from mlops.layers import InvalidSettings, names, variable
from mlops.settings import CONFIGS, ENVIRONMENTS, PREFIX, Settings, load_settings

SECRET = "a secret that is long enough to be one"


def folder(tmp_path: Path, **layers: object) -> Path:
    """A folder of layers: the project's own base, with the given files laid in."""
    (tmp_path / "base.yaml").write_text((CONFIGS / "base.yaml").read_text())
    for environment in ENVIRONMENTS:
        (tmp_path / f"{environment}.yaml").write_text("")
    for name, values in layers.items():
        (tmp_path / f"{name}.yaml").write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return tmp_path


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_shipped_layers_are_whole(environment: str) -> None:
    settings = load_settings(environ={"MASKER_ENVIRONMENT": environment})
    assert settings.environment == environment
    assert settings.server.host == "127.0.0.1"
    assert settings.masking.threshold == 0.2


def test_development_is_the_default() -> None:
    assert load_settings(environ={}).environment == "development"


def test_later_layers_win_setting_by_setting(tmp_path: Path) -> None:
    configs = folder(tmp_path, staging={"serving": {"threads": 3, "queue_seconds": 4}})
    settings = load_settings(configs, {"MASKER_ENVIRONMENT": "staging", "MASKER_SERVING__THREADS": "7"})
    assert settings.serving.threads == 7
    assert settings.serving.queue_seconds == 4
    assert settings.serving.deadline_seconds == load_settings(environ={}).serving.deadline_seconds


@pytest.mark.parametrize(
    ("name", "text", "path", "expected"),
    [
        ("MASKER_SERVER__PORT", "9000", "server.port", 9000),
        ("MASKER_SERVER__ALLOWED_HOSTS", "masker, masker.local", "server.allowed_hosts", ("masker", "masker.local")),
        ("MASKER_MASKING__THRESHOLD", ".35", "masking.threshold", 0.35),
        ("MASKER_REAL_DATA", "/media", "real_data", Path("/media")),
        ("MASKER_REGISTRY__BUNDLES_PATH", "/bundles", "registry.bundles_path", Path("/bundles")),
        ("masker_logging__level", "ERROR", "logging.level", "ERROR"),
        ("MASKER_REAL_DATA", "", "real_data", None),
    ],
)
def test_variables_are_read(name: str, text: str, path: str, expected: object) -> None:
    value: object = load_settings(environ={name: text, "PATH": "/bin"})
    for part in path.split("."):
        value = getattr(value, part)
    assert value == expected


def test_every_setting_has_a_variable_that_is_known() -> None:
    for path in names(Settings):
        name = variable(path, PREFIX)
        with pytest.raises(InvalidSettings, match=f"{name}X: no such setting; did you mean {name}?"):
            load_settings(environ={f"{name}X": "1"})


@pytest.mark.parametrize(
    ("environ", "named", "near"),
    [
        ({"MASKER_SERVING__THREDS": "2"}, "MASKER_SERVING__THREDS", "MASKER_SERVING__THREADS"),
        ({"MASKER_SERVIN__THREADS": "2"}, "MASKER_SERVIN__THREADS", "MASKER_SERVING__THREADS"),
        ({"MASKER_REALDATA": "/x"}, "MASKER_REALDATA", "MASKER_REAL_DATA"),
        ({"MASKER_SERVING_THREADS": "2"}, "MASKER_SERVING_THREADS", "MASKER_SERVING__THREADS"),
        ({"MASKER_SERVING": '{"threads": 2}'}, "MASKER_SERVING:", ""),
        ({"MASKER_QQQQQQ": "2"}, "MASKER_QQQQQQ: no such setting", ""),
    ],
)
def test_a_misspelt_variable_is_an_error(environ: dict[str, str], named: str, near: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(environ=environ)
    assert named in str(caught.value)
    assert near in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "named", "near"),
    [
        ({"serving": {"threds": 2}}, "staging.yaml: serving.threds", "serving.threads"),
        ({"servin": {"threads": 2}}, "staging.yaml: servin:", "serving"),
    ],
)
def test_a_misspelt_key_is_an_error(tmp_path: Path, layer: object, named: str, near: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(folder(tmp_path, staging=layer), {"MASKER_ENVIRONMENT": "staging"})
    assert named in str(caught.value)
    assert f"did you mean {near}?" in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"MASKER_ENVIRONMENT": "prod"}, "MASKER_ENVIRONMENT: must be one of development, staging, production"),
        ({"MASKER_MASKING__THRESHOLD": "nan"}, "masking.threshold"),
        ({"MASKER_SERVER__PORT": "70000"}, "server.port"),
        ({"MASKER_SERVING__QUEUE_SECONDS": "40"}, "queue_seconds must be less than deadline_seconds"),
        ({"MASKER_LIMITS__HELD_BYTES": "10"}, "held_bytes must be at least image_bytes"),
        ({"MASKER_CACHE__REDIS_URL": "redis://:hidden@r"}, "redis_url needs secret"),
        ({"MASKER_CACHE__SECRET": SECRET, "MASKER_CACHE__SECRET_FILE": "/s"}, "not both"),
        ({"MASKER_CACHE__SECRET": "hidden"}, "cache.secret"),
    ],
)
def test_a_wrong_value_is_told_without_showing_it(environ: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(environ=environ)
    assert told in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ({"base": "{}"}, "serving: Field required"),
        ({"base": "- a\n"}, "must hold sections"),
        ({"base": "a: [\n"}, "cannot be read as YAML"),
        ({"development": "environment: production\n"}, "environment: is chosen by MASKER_ENVIRONMENT"),
        ({"development": "serving: 3\n"}, "serving"),
    ],
)
def test_a_broken_layer_is_an_error(tmp_path: Path, layers: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidSettings, match=told):
        load_settings(folder(tmp_path, **layers), {})


def test_a_missing_layer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"base\.yaml"):
        load_settings(tmp_path, {})


def test_secrets_are_not_printed() -> None:
    settings = load_settings(
        environ={"MASKER_CACHE__REDIS_URL": "redis://:hidden@redis", "MASKER_CACHE__SECRET": f"hidden {SECRET}"}
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hidden" not in shown
    assert settings.cache.read_secret() == f"hidden {SECRET}".encode()


@pytest.mark.parametrize(("content", "ends"), [(f"{SECRET}\n", "well"), ("short\n", "badly"), (None, "badly")])
def test_the_secret_may_lie_in_a_file(tmp_path: Path, content: str | None, ends: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    cache = load_settings(
        environ={"MASKER_CACHE__REDIS_URL": "redis://r", "MASKER_CACHE__SECRET_FILE": str(file)}
    ).cache
    if ends == "well":
        assert cache.read_secret() == SECRET.encode()
    else:
        with pytest.raises(InvalidSettings, match="secret_file"):
            cache.read_secret()


def test_settings_are_frozen() -> None:
    settings = load_settings(environ={})
    with pytest.raises(ValidationError):
        settings.environment = "production"
    with pytest.raises(ValidationError):
        settings.serving.threads = 3


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKER_SERVER__PORT", "9001")
    assert load_settings().server.port == 9001


def test_every_setting_is_described() -> None:
    def undescribed(model: type[BaseModel]) -> list[str]:
        bare = []
        for name, field in model.model_fields.items():
            inner = [a for a in (field.annotation, *get_args(field.annotation)) if isinstance(a, type)]
            sections = [a for a in inner if issubclass(a, BaseModel)]
            if sections:
                bare += [f"{name}.{below}" for section in sections for below in undescribed(section)]
            elif not field.description:
                bare.append(name)
        return bare

    assert undescribed(Settings) == []


def test_a_job_is_known_at_least_as_long_as_its_result() -> None:
    with pytest.raises(InvalidSettings, match="history_seconds"):
        load_settings(environ={"MASKER_JOBS__RESULT_SECONDS": "100", "MASKER_JOBS__HISTORY_SECONDS": "99"})


def test_neither_database_nor_queue_show_their_password() -> None:
    environ = {
        "MASKER_DATABASE__URL": "postgresql+psycopg2://masker:hidden-word@host/name",
        "MASKER_JOBS__QUEUE_URL": "redis://:hidden-word@host",
    }
    assert "hidden-word" not in repr(load_settings(environ=environ))
