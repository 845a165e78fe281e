from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masking.errors import ModelError
from masking.face.maskers.surrogate import Surrogate
from masking.face.procedural import Capture, Identity, portrait
from masking.face.region import regions
from masking.face.surrogates import AverageBank, Averages, TooFewPeople, average
from masking.face.surrogates.averages import SIDE_PX, TEMPLATE, aligned
from masking.types import Faces

PEOPLE = 6


@pytest.fixture(scope="module")
def album() -> dict[str, list]:
    rng = np.random.default_rng(0)
    shown = [
        (str(index), portrait(who, replace(Capture.draw(rng), noise=0.5), 72))
        for index, who in enumerate(Identity.draw(rng) for _ in range(PEOPLE))
        for _ in range(2)
    ]
    return {
        "crops": [each.pixels for _, each in shown],
        "landmarks": [each.landmarks for _, each in shown],
        "people": [name for name, _ in shown],
    }


def test_an_average_is_of_at_least_k_people_and_the_same_for_the_same_seed(album: dict[str, list]) -> None:
    made = average(**album, count=3, k=5, seed=1)
    assert made.pixels.shape == (3, SIDE_PX, SIDE_PX, 3)
    assert made.people.tolist() == [5, 5, 5]
    assert (made.pixels == average(**album, count=3, k=5, seed=1).pixels).all()
    assert not (made.pixels == average(**album, count=3, k=5, seed=2).pixels).all()


def test_no_single_person_decides_an_average(album: dict[str, list]) -> None:
    """Everybody takes part with one photo alone, so a person whose photos are all black takes 1 / k of the light."""
    plain = {"crops": [np.full_like(crop, 180) for crop in album["crops"]], **_rest(album)}
    crops = [crop * 0 if who == "0" else crop for crop, who in zip(plain["crops"], plain["people"], strict=True)]
    made = average(crops, plain["landmarks"], plain["people"], count=1, k=PEOPLE)
    assert made.pixels.mean() == pytest.approx(180 * (PEOPLE - 1) / PEOPLE, abs=2)


def _rest(album: dict[str, list]) -> dict[str, list]:
    return {name: album[name] for name in ("landmarks", "people")}


@pytest.mark.parametrize(("k", "people"), [(20, PEOPLE), (PEOPLE + 1, PEOPLE), (2, 1)])
def test_too_few_people_are_refused(album: dict[str, list], k: int, people: int) -> None:
    chosen = [index for index, who in enumerate(album["people"]) if int(who) < people]
    with pytest.raises(TooFewPeople, match=str(k)):
        average(*([album[name][index] for index in chosen] for name in ("crops", "landmarks", "people")), count=1, k=k)


def test_what_does_not_fit_is_refused(album: dict[str, list]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        average(album["crops"][1:], album["landmarks"], album["people"], count=1, k=2)
    with pytest.raises(ValueError, match="one point"):
        aligned(album["crops"][0], np.zeros((5, 2), np.float32))


def test_landmarks_lie_on_the_template(album: dict[str, list]) -> None:
    crop, points = album["crops"][0].copy(), album["landmarks"][0]
    x, y = points[0].astype(int)
    crop[:] = 0
    crop[y - 1 : y + 2, x - 1 : x + 2] = 255
    lit = np.argwhere(aligned(crop, points)[..., 0] > 100).mean(0)[::-1]
    assert lit == pytest.approx(TEMPLATE[0] * SIDE_PX, abs=7)


def test_a_file_is_read_as_it_was_written(album: dict[str, list], tmp_path: Path) -> None:
    made = average(**album, count=2, k=5)
    made.save(tmp_path / "a" / "surrogates.npz")
    for source in (tmp_path / "a" / "surrogates.npz", (tmp_path / "a" / "surrogates.npz").read_bytes()):
        read = Averages.load(source, k=5)
        assert (read.pixels == made.pixels).all()
        assert (read.people.tolist(), read.k) == ([5, 5], 5)


def test_files_that_cannot_be_trusted_are_refused(album: dict[str, list], tmp_path: Path) -> None:
    path = tmp_path / "surrogates.npz"
    average(**album, count=2, k=5).save(path)
    with pytest.raises(ModelError, match="at least 20"):
        Averages.load(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not a file at all"):
        with pytest.raises(ModelError):
            Averages.load(damaged, k=5)
    np.savez(path, format=np.int64(99))
    with pytest.raises(ModelError, match="unknown"):
        Averages.load(path, k=5)
    with pytest.raises(ModelError):
        Averages.load(tmp_path / "missing.npz")


def test_averages_mask_as_any_bank_does(album: dict[str, list]) -> None:
    mask = Surrogate(AverageBank(average(**album, count=4, k=5)))
    faces = Faces(np.array([[30, 24, 90, 100]], np.float32), np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))
    rng = np.random.default_rng(1)
    one = rng.integers(0, 255, (130, 120, 3), np.uint8)
    shown = []
    for draw in (0, 1):
        (region,) = regions(faces, 120, 130, [draw])
        other = one.copy()
        other[region.rows, region.columns][region.inside] = 90
        answers = [mask(each[region.rows, region.columns], region.face, has_alpha=False) for each in (one, other)]
        assert (answers[0] == answers[1])[region.inside].all()
        shown.append(answers[0])
    assert not (shown[0] == shown[1]).all()
