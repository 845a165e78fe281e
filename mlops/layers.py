"""Layers of YAML and environment variables under a tree of pydantic models, and what is wrong with their names."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError


class InvalidSettings(SettingsError):
    """A setting is misspelt, missing or out of range; the message names it and never shows a value."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the sections of a YAML file, none for an empty one.

    Raises:
        InvalidSettings: there is no such file, or it holds something else.
    """
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidSettings(f"{path}: cannot be read as YAML") from error
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise InvalidSettings(f"{path}: must hold sections")
    return read


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``high`` over ``low``, section by section."""
    result = dict(low)
    for key, value in high.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def names(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every setting below ``model``; sections themselves are none."""
    for name in model.model_fields:
        section = _section(model, name)
        if section is None:
            yield (*path, name)
        else:
            yield from names(section, (*path, name))


def variable(path: tuple[str, ...], prefix: str) -> str:
    """Return the environment variable of a setting: ``MASKER_SERVING__THREADS`` for ``("serving", "threads")``."""
    return prefix + "__".join(path).upper()


def strange_variables(given: Mapping[str, str], model: type[BaseModel], prefix: str) -> list[str]:
    """Name the variables that are no setting of ``model``; pydantic-settings itself overlooks some of them."""
    known = [variable(path, prefix) for path in names(model)]
    return [_strange(name.upper(), known) for name in given if name.upper() not in known]


def strange_keys(values: Mapping[str, Any], model: type[BaseModel], path: str = "") -> list[str]:
    """Name the keys of ``values`` that are neither setting nor section of ``model``."""
    faults = []
    for key, value in values.items():
        section = _section(model, key)
        if key not in model.model_fields:
            faults.append(_strange(f"{path}{key}", [f"{path}{name}" for name in model.model_fields]))
        elif section is not None and isinstance(value, Mapping):
            faults += strange_keys(value, section, f"{path}{key}.")
    return faults


def told(error: ValidationError) -> Iterator[str]:
    """Say what pydantic found, one line a setting, without the values."""
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        yield f"{'.'.join(str(part) for part in fault['loc']) or 'settings'}: {fault['msg']}"


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _strange(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else "")
