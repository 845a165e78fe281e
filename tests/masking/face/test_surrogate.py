"""What the style `surrogate` promises: a face is seen, in about the same place, and nothing of the one behind it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from masking.evaluation.attackers import cut_to_face
from masking.face.cover import cover
from masking.face.maskers.surrogate import Surrogate
from masking.face.procedural import Capture, Identity, portrait
from masking.face.region import Region, regions
from masking.face.surrogates import DrawnBank
from masking.face.surrogates.sprite import SWAY_SCALE, SWAY_SHIFT, SWAY_TURN, Look, Placing, swayed
from masking.face.surrogates.tones import ToneKeeper
from masking.types import Faces, Pixels

SIDE = 160
PLAIN = replace(
    Capture.draw(np.random.default_rng(3)), yaw=0.0, pitch=0.0, roll=0.0, light_azimuth=0.0, noise=0.5, exposure=1.0
)
MASK = Surrogate(DrawnBank())


def person(seed: int, **circumstances: float) -> tuple[np.ndarray, Faces]:
    shown = portrait(Identity.draw(np.random.default_rng(seed)), replace(PLAIN, **circumstances), SIDE)
    return shown.pixels, Faces(shown.box[None], np.ones(1, np.float32), shown.landmarks[None])


def masked(pixels: Pixels, region: Region, mask: Surrogate = MASK, *, has_alpha: bool = False) -> Pixels:
    return mask(pixels[region.rows, region.columns].copy(), region.face, has_alpha=has_alpha)


@pytest.mark.parametrize("draw", [0, 11])
def test_different_people_behind_the_same_surrogate_give_the_same_pixels_to_the_bit(draw: int) -> None:
    where = person(0)[1]
    scene = person(0)[0]
    (region,) = regions(where, SIDE, SIDE, [draw])
    answers = []
    for seed in range(5):
        behind = scene.copy()
        part = behind[region.rows, region.columns]
        part[region.inside] = person(seed)[0][region.rows, region.columns][region.inside]
        answers.append(masked(behind, region)[region.inside])
    assert len({answer.tobytes() for answer in answers}) == 1


def test_another_draw_gives_another_face() -> None:
    pixels, where = person(1)
    shown = [cover(pixels, where, "surrogate", [draw])[0] for draw in range(6)]
    assert len({each.tobytes() for each in shown}) == 6


def test_aligning_a_masked_face_shows_the_surrogate_in_the_same_place_for_everybody() -> None:
    """Whatever a person's landmarks tell of their box and of each other, it is gone once a recogniser aligned them."""
    seen = []
    rng = np.random.default_rng(6)
    for _ in range(4):
        pixels, where = person(6)
        points = where.landmarks + rng.uniform(-4, 4, where.landmarks.shape).astype(np.float32)
        box = where.boxes + rng.uniform(-3, 3, where.boxes.shape).astype(np.float32)
        shown, _ = cover(pixels, Faces(box, where.scores, points), "surrogate", [5])
        seen.append(cut_to_face([shown], points)[0][0].astype(int))
    for other in seen[1:]:
        assert np.abs(other - seen[0]).mean() < 1.5


@pytest.mark.parametrize(("yaw", "pose"), [(0.0, 0), (-32.0, 1), (32.0, 2)])
def test_the_pose_is_kept_in_bins(yaw: float, pose: int) -> None:
    where = person(4, yaw=yaw)[1]
    (region,) = regions(where, SIDE, SIDE)
    assert MASK.look(region.face).pose == pose


def behind(level: float) -> tuple[np.ndarray, Faces]:
    """A person of whom only the brightness of the skin is left, the same for all around."""
    pixels, where = person(5)
    (region,) = regions(where, SIDE, SIDE)
    pixels[region.rows, region.columns][region.inside] = level
    return pixels, where


@pytest.mark.parametrize("asked", [False, True])
def test_tone_is_kept_in_three_bins_and_only_on_request(asked: bool) -> None:
    shown = []
    for level in (230, 160, 140, 100, 90, 40):
        pixels, where = behind(level)
        masked, touched = cover(pixels, where, "surrogate", [3], tones=ToneKeeper() if asked else None)
        core = touched & (cv2.distanceTransform(touched.astype(np.uint8), cv2.DIST_L2, 3) > 8)
        shown.append(masked[core].tobytes())
    assert len(set(shown)) == (3 if asked else 1)
    assert [shown[index] == shown[index + 1] for index in (0, 2, 4)] == [True, True, True]


def test_the_people_drawn_for_a_tone_have_it() -> None:
    lumas = []
    for level in (200, 120, 50):
        pixels, where = behind(level)
        each = [cover(pixels, where, "surrogate", [draw], tones=ToneKeeper())[0] for draw in range(8)]
        lumas.append(np.median([_skin(shown, where).mean() for shown in each]))
    assert lumas[0] > lumas[1] > lumas[2]


def test_a_face_keeps_the_tone_that_was_read_first_whatever_light_comes() -> None:
    keeper = ToneKeeper()
    read = []
    for draw, level in ((1, 200), (1, 50), (2, 50), (1, 120)):
        pixels, where = behind(level)
        (region,) = regions(where, SIDE, SIDE, [draw])
        read.append(keeper.told(region.face, pixels[region.rows, region.columns]).tone)
    assert read == [0, 0, 2, 0]


@pytest.mark.parametrize("form", ["grey", "grey and alpha", "deep", "off the picture"])
def test_a_tone_can_be_read_of_every_form_of_patch(form: str) -> None:
    pixels, where = behind(50)
    if form == "off the picture":
        where = Faces(where.boxes - 130, where.scores, where.landmarks - 130)
        pixels[:] = 50
    (region,) = regions(where, SIDE, SIDE)
    patch = pixels[region.rows, region.columns]
    if form == "deep":
        patch = patch.astype(np.uint16) * 257
    elif form.startswith("grey"):
        patch = patch[..., 0] if form == "grey" else np.dstack([patch[..., 0], np.full_like(patch[..., 0], 255)])
    assert ToneKeeper().told(region.face, patch).tone == 2


def _skin(shown: Pixels, where: Faces) -> np.ndarray:
    nose = where.landmarks[0, 2].astype(int)
    return shown[nose[1] - 12 : nose[1] - 4, nose[0] - 3 : nose[0] + 4].reshape(-1, 3).mean(0)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_surrogate_lies_as_the_head_does(degrees: int) -> None:
    pixels, where = person(6)
    upright, _ = cover(pixels, where, "surrogate", [9])
    middle = (SIDE - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), -degrees, 1.0)
    points = (where.landmarks[0] - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
    corners = (where.boxes[0].reshape(2, 2) - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
    box = np.concatenate([corners.min(0), corners.max(0)])
    turned = Faces(box[None].astype(np.float32), np.ones(1, np.float32), points[None].astype(np.float32))
    shown, _ = cover(np.ascontiguousarray(np.rot90(pixels, -degrees // 90)), turned, "surrogate", [9])
    back = np.rot90(shown, degrees // 90).astype(int)
    x1, y1, x2, y2 = where.boxes[0].astype(int)
    assert np.abs(back - upright)[y1:y2, x1:x2].mean() < 4


def test_a_grey_picture_gets_a_grey_face_and_a_coloured_one_a_coloured() -> None:
    pixels, where = person(7)
    grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    for picture, colourless in ((grey, True), (pixels, False)):
        shown, touched = cover(picture, where, "surrogate", [0])
        assert (np.ptp(shown[touched].astype(int), axis=-1).max() <= 1) == colourless


def test_a_dark_picture_gets_a_darker_face() -> None:
    pixels, where = person(7)
    levels = []
    for picture in (pixels, pixels // 8):
        shown, touched = cover(picture, where, "surrogate", [0])
        levels.append(shown[touched].mean())
    assert levels[1] < 0.7 * levels[0]


def test_every_form_of_picture_shows_the_same_face() -> None:
    pixels, where = person(8)
    plain, touched = cover(pixels, where, "surrogate", [2])
    deep, _ = cover(pixels.astype(np.uint16) * 257, where, "surrogate", [2])
    alpha = np.dstack([pixels, np.full((SIDE, SIDE), 90, np.uint8)])
    with_alpha, _ = cover(alpha, where, "surrogate", [2])
    assert np.abs(deep[touched] / 257 - plain[touched]).max() <= 1
    assert (with_alpha[touched][:, 3] == 255).all()
    core = touched & (cv2.distanceTransform(touched.astype(np.uint8), cv2.DIST_L2, 3) > 8)
    assert (with_alpha[core][:, :3] == plain[core]).all()


def test_a_surrogate_sways_by_the_draw_and_by_nothing_else() -> None:
    sprite = DrawnBank().sprite(3, Look(0))
    still = Placing(complex(0.5, 0.1), complex(10, 20))
    middle = complex(*(sprite.box[:2] + sprite.box[2:]) / 2)
    height = float(sprite.box[3] - sprite.box[1]) * abs(still.turn)
    seen = []
    for draw in range(200):
        placing = swayed(still, sprite, draw)
        assert placing == swayed(still, sprite, draw)
        assert abs(np.log(abs(placing.turn / still.turn))) <= SWAY_SCALE + 1e-9
        assert abs(np.angle(placing.turn / still.turn)) <= SWAY_TURN + 1e-9
        moved = placing.turn * middle + placing.shift - (still.turn * middle + still.shift)
        assert abs(moved) <= 1.5 * SWAY_SHIFT * height
        seen.append((abs(placing.turn), np.angle(placing.turn), moved.real, moved.imag))
    assert (np.std(seen, axis=0) > 0).all()
    spread = np.corrcoef(np.transpose(seen)) - np.eye(4)
    assert np.abs(spread).max() < 0.3
