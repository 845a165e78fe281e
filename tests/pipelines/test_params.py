from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.params import load_params

SHIPPED = Path(__file__).resolve().parents[2] / "params.yaml"


def test_the_file_that_ships_is_valid() -> None:
    assert load_params(SHIPPED).ingest.source == "synthetic"


@pytest.mark.parametrize(
    ("before", "after"),
    [("calibration_images", "calibration_image"), ("\ntrain:", "\ntrian:"), ("test_share: 0.6", "test_share: 1.6")],
)
def test_a_misspelt_name_or_a_value_out_of_range_is_refused(before: str, after: str, tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "params.yaml").write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(ValidationError):
        load_params(tmp_path / "params.yaml")


def test_a_rule_without_a_bound_is_refused(tmp_path: Path) -> None:
    text = "register: &gate {gate: [{metric: detection.int8.recall}]}\nvoice_register: *gate"
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    with pytest.raises(ValueError, match="no bound"):
        params.register_.gate[0].as_rule()
