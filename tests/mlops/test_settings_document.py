import re
from pathlib import Path

import pytest
import yaml

from mlops.layers import names, variable
from mlops.settings import CONFIGS, ENVIRONMENTS, PREFIX, Settings
from mlops.settings_document import COMMAND, OUT, document


def layers(folder: Path, **changes: object) -> Path:
    base = yaml.safe_load((CONFIGS / "base.yaml").read_text())
    (folder / "base.yaml").write_text(yaml.safe_dump(base | changes.pop("base", {})))  # type: ignore[operator]
    for environment in ENVIRONMENTS:
        (folder / f"{environment}.yaml").write_text(yaml.safe_dump(changes.get(environment)))
    return folder


def test_the_page_is_up_to_date() -> None:
    assert OUT.read_text(encoding="utf-8") == document(), f"run {COMMAND}"


def test_every_setting_has_its_row_and_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `(MASKER_\w+)` \| .+? \| (.+) \|$", document(), re.MULTILINE))
    assert list(rows) == [variable(path, PREFIX) for path in names(Settings)]
    assert [name for name, meaning in rows.items() if len(meaning) < 10] == []


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"base": {"jobs": {"workers": 3}}}, "| `MASKER_JOBS__WORKERS` | `3` |"),
        ({"production": {"jobs": {"workers": 9}}}, "| `MASKER_JOBS__WORKERS` | `1`; production: `9` |"),
        ({"base": {"cache": {"memory_bytes": 3 << 20}}}, "| `MASKER_CACHE__MEMORY_BYTES` | `3145728` (3 MiB) |"),
        ({"base": {"server": {"allowed_hosts": ["a", "b"]}}}, "| `MASKER_SERVER__ALLOWED_HOSTS` | `a, b` |"),
        ({"base": {"real_data": None}}, "| `MASKER_REAL_DATA` | none |"),
    ],
)
def test_values_are_those_of_the_layers(tmp_path: Path, changes: dict[str, object], row: str) -> None:
    base = yaml.safe_load((CONFIGS / "base.yaml").read_text())
    own = changes.get("base", {})
    assert isinstance(own, dict)
    filled = {name: base[name] | value if isinstance(value, dict) else value for name, value in own.items()}
    assert row in document(layers(tmp_path, **changes | {"base": filled}))
