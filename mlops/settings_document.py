"""Writes docs/settings.md from the typed tree and the layers under configs/: ``python -m mlops.settings_document``."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from mlops.layers import read_yaml, variable
from mlops.settings import CONFIGS, ENVIRONMENTS, PREFIX, Settings

OUT: Final = CONFIGS.parent / "docs" / "settings.md"
COMMAND: Final = "make settings"
_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_HEAD: Final = f"""# Settings

`{COMMAND}` writes this page from `mlops/settings.py` and `configs/`.

Later layers win: `configs/base.yaml`, `configs/<environment>.yaml`, then environment variables. `{PREFIX}ENVIRONMENT`
picks the second layer: {", ".join(f"`{name}`" for name in ENVIRONMENTS)}; the first is the default. An empty variable
counts as unset. A name that no setting has is an error at start, and so is a value out of range; the message never
shows a value.

```sh
MASKER_SERVER__PORT=8123 make serve
```

In a YAML file the same setting is `server: {{port: 8123}}`. Lists are given in variables with commas between the names.
The command line reads the same settings: defaults, limits, and where the model lies. Parameters of training are not
settings; they stand in `params.yaml`. Counts, sizes and times are more than 0 unless it says otherwise.
"""


def document(configs: Path = CONFIGS) -> str:
    """Return the page as Markdown.

    Args:
        configs: Folder of the YAML layers.

    Raises:
        InvalidSettings: A layer cannot be read.
    """
    base = read_yaml(configs / "base.yaml")
    layers = {name: read_yaml(configs / f"{name}.yaml") for name in ENVIRONMENTS}
    plain, sections = [], []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            sections.append(_section(name, kind, base, layers))
        else:
            plain.append(_row((name,), field, base, layers))
    return "\n".join([_HEAD, *_table(plain), "", *sections])


def _section(name: str, kind: type[BaseModel], base: Mapping[str, Any], layers: Mapping[str, Any]) -> str:
    rows = [_row((name, each), field, base, layers) for each, field in kind.model_fields.items()]
    return "\n".join([f"## {name}", "", _prose(kind.__doc__), "", *_table(rows), ""])


def _table(rows: list[str]) -> list[str]:
    return ["| variable | value | what it is |", "|---|---|---|", *rows]


def _row(path: tuple[str, ...], field: FieldInfo, base: Mapping[str, Any], layers: Mapping[str, Any]) -> str:
    shown = _shown(path, _at(base, path)) if path != ("environment",) else f"`{ENVIRONMENTS[0]}`"
    values = [shown]
    for environment, layer in layers.items():
        if (own := _at(layer, path)) is not None:
            values.append(f"{environment}: {_shown(path, own)}")
    told = _prose(field.description)
    text = " ".join([told, *_bounds(field, told)])
    return f"| `{variable(path, PREFIX)}` | {'; '.join(values)} | {text} |"


def _at(values: Mapping[str, Any], path: tuple[str, ...]) -> Any:  # noqa: ANN401  # values of YAML
    value: Any = values
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _shown(path: tuple[str, ...], value: object) -> str:
    if value is None:
        return "none"
    text = ", ".join(map(str, value)) if isinstance(value, list) else yaml.safe_dump(value).split("\n")[0]
    unit = _unit(value) if path[-1].endswith("_bytes") and isinstance(value, int) else ""
    return (f"`{text}`" if text else "empty") + unit


def _unit(count: int) -> str:
    return next((f" ({count // size} {name})" for size, name in _UNITS if count and count % size == 0), "")


def _prose(text: str | None) -> str:
    return " ".join((text or "").split()).replace("``", "`").replace("|", "\\|")


def _bounds(field: FieldInfo, text: str) -> Iterator[str]:
    """Say which values are taken, where the text does not."""
    kinds = [field.annotation, *get_args(field.annotation)]
    if get_origin(field.annotation) is Literal and not all(name in text for name in kinds[1:]):
        yield f"One of {', '.join(f'`{name}`' for name in kinds[1:])}."
    for bound in field.metadata:
        for name, words in (("ge", "At least"), ("le", "At most")):
            value = getattr(bound, name, None)
            if value is not None and str(value) not in text:
                yield f"{words} {value}."
    if any(SecretStr in (kind, get_origin(kind), *get_args(kind)) for kind in kinds):
        yield "Kept out of logs and messages."


def main() -> None:
    """Write the page."""
    OUT.write_text(document(), encoding="utf-8")
    sys.stderr.write(f"settings: {OUT}\n")


if __name__ == "__main__":
    main()
