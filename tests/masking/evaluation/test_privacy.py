from dataclasses import asdict, dataclass

import cv2
import numpy as np
import pytest

from masking.evaluation.attackers import ATTACKERS, FACE, SIDE_PX, TEMPLATE, WIDE, align
from masking.evaluation.privacy import judge

CROP_PX = 72
PEOPLE, CAPTURES = 14, 6
LANDMARKS = ((TEMPLATE - 0.5) * 0.6 + 0.5) * CROP_PX
INSIDE = slice(12, 60)


@dataclass(frozen=True)
class Album:
    crops: list[np.ndarray]
    identities: list[str]
    landmarks: np.ndarray

    def masked(self, mask) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Two releases, masked one after the other."""
        return [mask(crop) for crop in self.crops], [mask(crop) for crop in self.crops]


def album(*, same_person: float = 1.0, same_place: float = 0.0, seed: int = 0) -> Album:
    """Captures of people who are smooth random patterns, each shifted, lit and noisy in a way of its own.

    ``same_person`` is how much of the pattern belongs to the person; with 0 every capture is a stranger.
    ``same_place`` is the same for what surrounds the face.
    """
    rng = np.random.default_rng(seed)
    crops, identities, landmarks = [], [], []
    for person in range(PEOPLE):
        own, place = _pattern(rng), _pattern(rng)
        for _ in range(CAPTURES):
            face = 128 + 30 * (same_person * own + (1 - same_person) * _pattern(rng))
            canvas = 128 + 20 * (same_place * place + (1 - same_place) * _pattern(rng))
            canvas[INSIDE, INSIDE] = face[INSIDE, INSIDE]
            shift = rng.uniform(-3, 3, 2)
            moved = cv2.warpAffine(canvas, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (CROP_PX, CROP_PX))
            lit = moved * rng.uniform(0.8, 1.2) + rng.normal(0, 5, canvas.shape)
            crops.append(np.clip(lit, 0, 255).astype(np.uint8))
            identities.append(f"person {person}")
            landmarks.append(LANDMARKS + shift)
    return Album(crops, identities, np.array(landmarks, np.float32))


def _pattern(rng: np.random.Generator) -> np.ndarray:
    smooth = cv2.GaussianBlur(rng.normal(0, 1, (CROP_PX, CROP_PX, 3)), (0, 0), 5)
    return smooth / smooth.std()


def _solid(crop: np.ndarray) -> np.ndarray:
    return np.zeros_like(crop)


def _blur(crop: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(crop, (0, 0), 5)


def _box(crop: np.ndarray) -> np.ndarray:
    masked = crop.copy()
    masked[6:66, 6:66] = 0
    return masked


@pytest.fixture(scope="module")
def people() -> Album:
    return album()


@pytest.fixture(scope="module")
def figures(people):
    masked = {"solid": people.masked(_solid), "box": people.masked(_box), "blur": people.masked(_blur)}
    return judge(people.crops, people.identities, people.landmarks, masked, trials=5)


def test_people_are_known_without_a_mask(figures):
    assert figures.valid
    assert figures.reason == ""
    assert figures.unmasked.strongest.rank1.value > 0.9
    assert figures.unmasked.strongest.equal_error_rate < 0.1
    assert {attack.attacker for attack in figures.unmasked.attacks} == set(ATTACKERS)


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_every_attacker_earns_a_place(figures, attacker):
    (attack,) = (attack for attack in figures.unmasked.attacks if attack.attacker == attacker)
    assert attack.rank1.low > 2 * figures.chance


def test_a_crop_that_shows_nothing_leaves_a_guess(figures):
    for attack in figures.styles["solid"].attacks:
        assert attack.rank1.value == pytest.approx(figures.chance)
        assert attack.rank5 == pytest.approx(5 * figures.chance)
        assert attack.equal_error_rate == pytest.approx(0.5)


def test_a_box_over_the_whole_face_is_within_chance(figures):
    rank1 = figures.styles["box"].strongest.rank1
    assert rank1.low <= figures.chance <= rank1.high
    assert rank1.high < 0.4


def test_surroundings_that_belong_to_the_person_give_them_away():
    regulars = album(same_place=0.9)
    masked = {"box": regulars.masked(_box)}
    box = judge(regulars.crops, regulars.identities, regulars.landmarks, masked, trials=4, parrots_only=True).styles[
        "box"
    ]
    assert box.strongest.rank1.low > 2 / 8


def test_blur_is_seen_through(figures):
    assert figures.styles["blur"].strongest.rank1.low > 5 * figures.chance


def test_who_knows_nothing_of_the_mask_fails_where_a_parrot_sees_through(people):
    negative = people.masked(lambda crop: 255 - crop)
    style = judge(people.crops, people.identities, people.landmarks, {"negative": negative}, trials=2).styles[
        "negative"
    ]
    assert style.strongest.rank1.value > 0.9
    assert style.pixel.rank1.low > 2 / 8
    assert style.naive.rank1.value < 0.5


def test_two_releases_of_what_shows_nothing_cannot_be_linked(figures):
    assert figures.unmasked.linkage.rank1.low > 2 * figures.chance
    assert figures.styles["blur"].linkage.rank1.low > 2 * figures.chance
    assert figures.styles["solid"].linkage.rank1.value == pytest.approx(figures.chance)


def test_one_stand_in_for_all_captures_of_a_person_links_them_and_one_drawn_for_each_does_not(people):
    rng = np.random.default_rng(5)
    stand_ins = [np.clip(128 + 30 * _pattern(rng), 0, 255).astype(np.uint8) for _ in range(20)]

    def per_person() -> list[np.ndarray]:
        return [stand_ins[int(name.split()[1])] for name in people.identities]

    def per_capture() -> list[np.ndarray]:
        return [stand_ins[int(rng.integers(len(stand_ins)))] for _ in people.identities]

    styles = {"person": (per_person(), per_person()), "capture": (per_capture(), per_capture())}
    figures = judge(people.crops, people.identities, people.landmarks, styles, trials=4).styles
    assert figures["person"].linkage.rank1.value > 0.9
    assert figures["person"].naive.rank1.high < 0.5
    assert figures["capture"].linkage.rank1.high < 0.5


def test_parrots_alone_take_no_account_of_others(people):
    masked = {"blur": people.masked(_blur)}
    figures = judge(people.crops, people.identities, people.landmarks, masked, trials=2, parrots_only=True)
    assert figures.valid
    assert figures.styles["blur"].naive is None
    assert figures.styles["blur"].linkage is None


def test_a_means_of_attack_can_be_added(people):
    def oracle(evidence, split):
        own = np.unique(split.person[split.gallery])[None, :] == split.person[split.probes][:, None]
        return own.astype(float)

    figures = judge(
        people.crops,
        people.identities,
        people.landmarks,
        {"solid": people.masked(_solid)},
        trials=2,
        attackers={**ATTACKERS, "oracle": oracle},
    )
    assert figures.styles["solid"].strongest.attacker == "oracle"
    assert figures.styles["solid"].strongest.rank1.value == 1


def test_the_strongest_attacker_counts(figures):
    for style in (figures.unmasked, *figures.styles.values()):
        assert style.strongest.rank1.value == max(attack.rank1.value for attack in style.attacks)


def test_the_figures_say_what_they_stand_on(figures):
    assert (figures.people, figures.captures, figures.enrolled) == (PEOPLE, PEOPLE * CAPTURES, 8)
    assert figures.chance == 1 / 8
    assert figures.floor == 0.5


def test_strangers_alone_make_the_judge_invalid():
    strangers = album(same_person=0.0)
    figures = judge(
        strangers.crops, strangers.identities, strangers.landmarks, {"solid": strangers.masked(_solid)}, trials=4
    )
    assert not figures.valid
    assert "unmasked" in figures.reason
    rank1 = figures.unmasked.strongest.rank1
    assert rank1.low <= figures.chance <= rank1.high


def test_a_low_floor_does_not_excuse_a_guess():
    strangers = album(same_person=0.0)
    figures = judge(
        strangers.crops, strangers.identities, strangers.landmarks, {}, floor=0.01, trials=4, parrots_only=True
    )
    assert not figures.valid
    assert "chance" in figures.reason


def test_equal_arguments_give_equal_figures(people):
    arguments = (people.crops, people.identities, people.landmarks, {"blur": people.masked(_blur)})
    first = judge(*arguments, trials=2, seed=3)
    assert asdict(first) == asdict(judge(*arguments, trials=2, seed=3))
    assert asdict(first) != asdict(judge(*arguments, trials=2, seed=4))


def test_captures_may_come_in_any_order_under_any_names(people):
    order = np.random.default_rng(0).permutation(len(people.crops))
    figures = judge(
        [people.crops[i] for i in order],
        [people.identities[i][::-1] for i in order],
        people.landmarks[order],
        {"solid": ([_solid(people.crops[i]) for i in order],) * 2},
        trials=4,
    )
    assert figures.valid
    assert figures.styles["solid"].strongest.rank1.value == pytest.approx(figures.chance)


@pytest.mark.parametrize("view", [FACE, WIDE])
@pytest.mark.parametrize("angle", [0.0, 35.0, -90.0])
def test_alignment_undoes_place_size_and_turn(view, angle):
    matrix = cv2.getRotationMatrix2D((50, 50), angle, 0.8)
    points = 20 + 60 * TEMPLATE
    turned = points @ matrix[:, :2].T + matrix[:, 2]
    crop = np.zeros((100, 100, 3), np.uint8)
    x, y = turned[2]
    cv2.circle(crop, (round(x), round(y)), 3, (255, 255, 255), -1)
    (aligned,) = align([crop], turned[None].astype(np.float32), view)
    nose = ((TEMPLATE[2] - 0.5) / view + 0.5) * SIDE_PX
    lit = np.argwhere(aligned[..., 0] > 127).mean(axis=0)[::-1]
    assert lit == pytest.approx(nose, abs=1.5)


FEW = album()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crops": FEW.crops[:-1]}, "do not fit"),
        ({"landmarks": FEW.landmarks[:, :4]}, "do not fit"),
        ({"masked": {"blur": (FEW.crops, FEW.crops[1:])}}, "do not fit"),
        ({"crops": [crop[..., 0] for crop in FEW.crops]}, "three channels"),
        ({"masked": {"blur": (FEW.crops, [crop[1:] for crop in FEW.crops])}}, "shapes"),
        ({"identities": ["one"] * len(FEW.crops)}, "2 people"),
        ({"identities": ["alone", *FEW.identities[1:-1], "too"]}, "2 captures"),
        ({"background": 0.0}, "2 people"),
        ({"background": 1.0}, "2 people"),
        ({"floor": 0.0}, "floor"),
        ({"trials": 0}, "trials"),
        ({"landmarks": np.zeros_like(FEW.landmarks)}, "one point"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    arguments = {"crops": FEW.crops, "identities": FEW.identities, "landmarks": FEW.landmarks, "masked": {}} | change
    with pytest.raises(ValueError, match=message):
        judge(**arguments)
