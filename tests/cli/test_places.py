"""Nothing that is read is written over, and nothing is written twice, whatever is forced."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]
LIST = b"action,x1,y1,x2,y2\nmask,1,1,9,9\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-o", "b.jpg", "--regions", "r.csv", "--boxes", "r.csv"], "r.csv is an input"),
        (["-o", "b.jpg", "--regions", "r.csv", "--boxes", "link.csv"], "link.csv is an input"),
        (["-o", "r.csv", "--regions", "r.csv"], "r.csv is an input"),
        (["--dry-run", "--regions", "r.csv", "--boxes", "r.csv"], "r.csv is an input"),
        (["-o", "b.jpg", "--key-file", "key.json", "--report", "key.json"], "key.json is an input"),
        (["-o", "b.jpg", "--key-file", "key.json", "--boxes", "key.json"], "key.json is an input"),
        (["c.json", "-o", "out", "--boxes", "c.json"], "c.json is an input"),
        (["-o", "b.jpg", "--report", "b.json", "--boxes", "b.json"], "the report of a.jpg and the region list"),
        (["-o", "b.json", "--report", "./b.json"], "a.jpg and the report of a.jpg"),
    ],
)
def test_not_even_force_writes_over_what_is_read_or_twice(
    options: list[str], told: str, masker: Run, photo: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "c.json").write_bytes(photo)
    (tmp_path / "r.csv").write_bytes(LIST)
    (tmp_path / "link.csv").symlink_to("r.csv")
    (tmp_path / "key.json").write_text("1" * 64)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = masker("mask", "a.jpg", *options, "--force")
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (2, True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_region_list_that_is_not_read_may_be_replaced(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "r.csv").write_bytes(LIST)
    assert masker("mask", "a.jpg", "-o", "b.jpg", "--boxes", "r.csv").exit_code == 2
    assert masker("mask", "a.jpg", "-o", "b.jpg", "--boxes", "r.csv", "--force").exit_code == 0
    assert (tmp_path / "r.csv").read_bytes() != LIST
