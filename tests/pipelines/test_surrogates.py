from pathlib import Path

import numpy as np
import pytest

from masking.face.procedural import Capture, Identity, portrait
from masking.face.surrogates import Averages, TooFewPeople
from pipelines.dataset import Crop
from pipelines.surrogates import FILE, make, write

NOWHERE = np.full((5, 2), np.nan, np.float32)


def crops(people: int) -> list[Crop]:
    rng = np.random.default_rng(0)
    made = []
    for index in range(people):
        shown = portrait(Identity.draw(rng), Capture.draw(rng), 64)
        made.append(Crop(f"c{index}", "train", f"p{index}", 0, shown.pixels, shown.box, shown.landmarks))
    return made


def test_averages_of_enough_people_are_written(tmp_path: Path) -> None:
    assert write(crops(4), tmp_path / "out", k=4, count=2) is not None
    assert Averages.load(tmp_path / "out" / FILE, k=4).people.tolist() == [4, 4]


def test_too_few_people_leave_an_empty_folder_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(crops(4), tmp_path, k=4, count=1)
    assert write(crops(3), tmp_path, k=4, count=1) is None
    assert list(tmp_path.iterdir()) == []
    assert "3 people are too few" in capsys.readouterr().err


def test_unknown_people_and_unknown_landmarks_do_not_count() -> None:
    (known, *others) = crops(3)
    nobody = [Crop("x", "train", None, 0, each.pixels, each.box, each.landmarks) for each in others]
    blind = [Crop("x", "train", "somebody", 0, each.pixels, each.box, NOWHERE) for each in others]
    with pytest.raises(TooFewPeople, match="1 people"):
        make([known, *nobody, *blind], k=2, count=1)
