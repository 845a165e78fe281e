"""What is painted on the surface of the head: skin, eyes, brows, lips, beard and hair, as linear reflectance."""

import cv2
import numpy as np

from masking.face.procedural.head import Array, Head, bump, gentle, noise, smoothstep
from masking.face.procedural.identity import Capture, Identity


def rgb(red: float, green: float, blue: float) -> Array:
    """Linear reflectance of an sRGB colour given in [0, 255]."""
    return (np.array([red, green, blue], np.float32) / 255.0) ** np.float32(2.2)


_PALE, _DEEP = rgb(246, 214, 194), rgb(86, 54, 38)
_FAIR_HAIR, _DARK_HAIR, _RED_HAIR, _GREY_HAIR = (
    rgb(205, 165, 105),
    rgb(28, 22, 20),
    rgb(140, 62, 28),
    rgb(175, 172, 168),
)
_IRIS = np.stack([rgb(60, 36, 22), rgb(96, 66, 36), rgb(108, 122, 74), rgb(96, 130, 165)])


def skin_colour(who: Identity) -> Array:
    """Mean skin reflectance: between pale and deep by melanin, redder or more yellow by undertone."""
    mean = np.exp(np.log(_PALE) * (1.0 - who.melanin) + np.log(_DEEP) * who.melanin)
    return np.asarray(mean * np.array([1.0, 1.0 - 0.04 * who.undertone, 1.0 - 0.10 * who.undertone]), np.float32)


def hair_colour(who: Identity) -> Array:
    """Mean hair reflectance: dark to fair, some red, grey with age."""
    shade = who.hair_shade**1.6
    mean = _DARK_HAIR * (1.0 - shade) + _FAIR_HAIR * shade
    red = 0.6 * max(who.hair_redness - 0.75, 0.0) * 4.0 * (1.0 - who.melanin)
    grey = max(who.age - 0.68, 0.0) * 3.0
    mean = mean * (1.0 - red) + _RED_HAIR * red
    return np.asarray(mean * (1.0 - grey) + _GREY_HAIR * grey, np.float32)


def blend(under: Array, over: Array, share: Array) -> Array:
    """Lay a colour over another where ``share`` says so."""
    return under + (over - under) * share[..., None]


def paint(who: Identity, how: Capture, head: Head) -> tuple[Array, Array]:
    """Linear reflectance (rows, columns, 3) of the head and its gloss (rows, columns)."""
    rng = np.random.default_rng(who.grain + 2)
    hair = hair_colour(who)
    colour = _skin(who, head, rng)
    gloss = np.full(head.x.shape, 0.10, np.float32)
    mouth, beard = head.between(who.mouth_y - 0.16, who.mouth_y + 0.24), head.between(0.1, 1.0)
    eyes, brows = head.between(who.eye_y - 0.2, who.eye_y + 0.2), head.between(who.eye_y - 0.36, who.eye_y + 0.02)
    colour[mouth] = _lips(who, how, head.part(mouth), colour[mouth])
    colour[beard] = _beard(who, head.part(beard), colour[beard], hair, rng)
    colour[eyes], wet = _eyes(who, how, head.part(eyes), colour[eyes])
    gloss[eyes] += wet
    colour[brows] = _brows(who, how, head.part(brows), colour[brows], hair)
    cover = head.hair * (0.28 if who.hair_style == "bald" else 1.0)
    colour = blend(colour, np.exp(0.22 * head.strands)[..., None] * hair, cover)
    return np.clip(colour, 0.004, 1.0), gloss - 0.04 * cover


def _skin(who: Identity, head: Head, rng: np.random.Generator) -> Array:
    x, y, side = head.x, head.y, np.abs(head.x)
    base = skin_colour(who)
    mottled = 1.0 + 0.035 * noise(rng, (14, 18)) + 0.03 * noise(rng, (60, 80))
    spots = noise(rng, (100, 120))
    freckled = max(who.freckles - 0.55, 0.0) * 1.4 * (1.0 - who.melanin)
    mottled -= freckled * smoothstep(0.9, 1.8, spots) * bump(side, y, (0.22, 0.2), (0.25, 0.15)) * head.front
    for _ in range(int(rng.integers(0, 4))):
        mole = (float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.3, 0.8)))
        mottled -= 0.55 * bump(x, y, mole, (0.014, 0.014)) * head.front
    flush = 0.5 * bump(side, y, (0.36, 0.3), (0.13, 0.12)) + 0.6 * bump(x, y, (0.0, who.nose_y), (0.11, 0.08))
    tint = np.array([0.10, -0.10, -0.10], np.float32) * (1.0 - 0.6 * who.melanin)
    colour = base * mottled[..., None] * (1.0 + tint * (flush * head.front)[..., None])
    tired = (0.10 + 0.16 * who.age) * bump(side, y, (who.eye_spacing, who.eye_y + 0.07), (0.11, 0.03))
    lines = max(who.age - 0.4, 0.0) * 0.35 * _wrinkles(who, head)
    nostrils = 0.7 * bump(side, y, (who.nose_width * 0.42, who.nose_y + 0.055), (0.026, 0.014))
    wing = 0.22 * bump(side, y, (who.nose_width * 1.08, who.nose_y + 0.015), (0.014, 0.045))
    socket = 0.22 * bump(side, y, (who.eye_spacing * 0.92, who.eye_y - 0.055), (0.11, 0.04))
    dark = np.clip(head.front * (tired + lines + nostrils + wing + socket), 0.0, 0.95)
    shade = np.array([0.75, 1.0, 1.0], np.float32)  # what lies in folds looks redder, since light bleeds through skin
    return np.asarray(colour * (1.0 - dark[..., None] * shade), np.float32)


def _wrinkles(who: Identity, head: Head) -> Array:
    forehead = np.exp(-0.5 * ((np.sin((head.y + 0.02 * np.cos(5 * head.x)) * 48.0) - 1.0) / 0.35) ** 2)
    region = bump(head.x, head.y, (0.0, -0.36), (0.28, 0.09))
    fold = bump(np.abs(head.x) - 0.23 - 0.3 * (head.y - who.nose_y), head.y, (0.0, who.nose_y + 0.12), (0.013, 0.10))
    return np.asarray(forehead * region + 1.2 * fold, np.float32)


def _lips(who: Identity, how: Capture, head: Head, colour: Array) -> Array:
    open_ = max(how.mouth_open, 0.0) * 0.075
    width = who.mouth_width * (1.0 + 0.16 * how.smile)
    across = head.x / width
    along = np.clip(1.0 - across**2, 0.0, 1.0)
    bow = 1.0 - 0.25 * np.exp(-0.5 * (across / 0.16) ** 2)
    y = head.y - who.mouth_y + 0.05 * how.smile * (across**2 - 0.35)
    upper, lower = -who.upper_lip * bow * along**0.7 - open_ * 0.4 * along, who.lower_lip * along**0.6 + open_ * along
    soft = 0.012
    lips = smoothstep(upper - soft, upper + soft, y) * (1.0 - smoothstep(lower - soft, lower + soft, y))
    lips = lips * smoothstep(1.0, 0.93, np.abs(across)) * head.front
    skin = skin_colour(who)
    red = skin * np.array([0.78, 0.42, 0.45], np.float32) + np.array([0.03, 0.0, 0.005], np.float32)
    colour = blend(colour, red, lips * (0.45 + 0.5 * who.lip_redness))
    inner_top, inner_low = -open_ * 0.4 * along - 0.006, open_ * along + 0.006
    inside = smoothstep(inner_top - 0.01, inner_top + 0.008, y) * (
        1 - smoothstep(inner_low - 0.008, inner_low + 0.01, y)
    )
    inside *= smoothstep(1.0, 0.9, np.abs(across)) * head.front
    colour = blend(colour, rgb(70, 26, 24), inside * (0.75 if open_ < 0.008 else 0.95))
    teeth = inside * (1.0 - smoothstep(inner_top + 0.03, inner_top + 0.045, y)) * smoothstep(0.8, 0.6, np.abs(across))
    return blend(colour, rgb(226, 218, 205), teeth * gentle(0.008, 0.03, open_))


def _beard(who: Identity, head: Head, colour: Array, hair: Array, rng: np.random.Generator) -> Array:
    if who.beard <= 0.0:
        return colour
    cheek = smoothstep(0.42, 0.62, head.y - 0.35 * (0.5 - np.abs(head.x)) + 0.12)
    lip = bump(head.x, head.y, (0.0, who.nose_y + 0.13), (0.16, 0.035))
    mouth = bump(head.x, head.y, (0.0, who.mouth_y), (who.mouth_width * 0.8, 0.05))
    region = np.clip(cheek + lip, 0.0, 1.0) * (1.0 - np.clip(1.6 * mouth, 0.0, 1.0)) * smoothstep(0.0, 0.2, head.front)
    full = gentle(0.35, 0.85, who.beard)
    density = 0.22 + 0.22 * who.beard + 0.5 * full
    return blend(
        colour,
        hair * np.exp(0.25 * noise(rng, (60, 130), head.x.shape))[..., None],
        np.clip(region * density, 0.0, 1.0),
    )


def _eyes(who: Identity, how: Capture, head: Head, colour: Array) -> tuple[Array, Array]:
    """Paint sclera, iris, pupil, glint, lashes and fold of both eyes; also where they are wet."""
    wet = np.zeros_like(head.x)
    white, iris = rgb(226, 220, 214), _iris_colour(who)
    for sign in (-1.0, 1.0):
        dx = (head.x - sign * who.eye_spacing) * sign  # positive outwards
        dy = head.y - who.eye_y + who.eye_tilt * dx
        t = np.clip(1.0 - (dx / who.eye_width) ** 2, 0.0, 1.0)
        squint = 1.0 - 0.25 * max(how.smile, 0.0)
        upper = -who.eye_opening * min(how.eye_open, 1.25) * t**0.75
        lower = 0.55 * who.eye_opening * squint * t**0.85
        s = np.float32(0.008)
        ball = smoothstep(upper - s, upper + s, dy) * (1.0 - smoothstep(lower - s, lower + s, dy))
        ball *= smoothstep(0.0, 0.12, t) * head.front
        ix = dx - sign * 0.03 * how.gaze_x
        iy = dy + 0.008 - 0.015 * how.gaze_y
        radius = np.sqrt(ix**2 + iy**2)
        eye = blend(np.broadcast_to(white, colour.shape), iris, 1.0 - smoothstep(0.046, 0.056, radius))
        eye = blend(eye, rgb(12, 10, 10), 1.0 - smoothstep(0.016, 0.026, radius))
        under_lid = 0.55 * (1.0 - smoothstep(upper, upper + 0.03, dy))
        eye = eye * (1.0 - under_lid[..., None])
        eye = blend(eye, np.ones(3, np.float32), bump(ix * sign, iy, (0.017, -0.018), (0.008, 0.008)))
        colour = blend(colour, eye, ball)
        wet += 0.32 * ball
        edge = smoothstep(0.0, 0.1, t) * head.front
        lash = np.exp(-0.5 * ((dy - upper + 0.004) / 0.009) ** 2) * edge
        rim = np.exp(-0.5 * ((dy - lower - 0.003) / 0.007) ** 2) * edge
        fold = np.exp(-0.5 * ((dy - upper + 0.034) / 0.008) ** 2) * edge
        colour = blend(colour, rgb(24, 16, 14), 0.85 * lash)
        colour = colour * (1.0 - (0.35 * rim + 0.32 * who.eye_fold * fold)[..., None])
    return np.asarray(colour, np.float32), wet


def _iris_colour(who: Identity) -> Array:
    place = 3.0 * who.iris_shade * (1.0 - who.melanin) ** 0.7
    low = min(int(place), 2)
    return np.asarray(_IRIS[low] + (_IRIS[low + 1] - _IRIS[low]) * (place - low), np.float32)


def _brows(who: Identity, how: Capture, head: Head, colour: Array, hair: Array) -> Array:
    t = (np.abs(head.x) - who.eye_spacing * 0.98) / who.brow_length  # -1 inside, 1 outside
    centre = who.eye_y - who.brow_gap - how.brow_raise - who.brow_arch * (1.0 - t**2) - who.brow_tilt * t * 0.16
    thick = who.brow_thickness * (1.0 - 0.45 * smoothstep(0.0, 1.0, t))
    share = np.exp(-0.5 * np.abs((head.y - centre) / thick) ** 3) * (1.0 - smoothstep(0.85, 1.0, np.abs(t)))
    dark = hair * 0.55 * np.exp(0.12 * head.strands)[..., None]
    return blend(colour, dark, 0.9 * share * head.front)


def clothes_colour(how: Capture) -> Array:
    """Reflectance of the clothes."""
    hsv = np.array([[[how.clothes_hue * 179, 40 + 150 * (how.clothes_hue * 7.3 % 1), 40 + 210 * how.clothes_shade]]])
    pixel = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return rgb(*(float(v) for v in pixel[0, 0]))
