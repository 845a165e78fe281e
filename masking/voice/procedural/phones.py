"""The sounds of procedural speech: where their formants lie, how they are excited, and how long they last.

Vowels are the men's means of Hillenbrand, Getty, Clark and Wheeler, JASA 97, 1995; consonants follow table III of
Klatt, JASA 67, 1980.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["vowel", "glide", "nasal", "fricative", "stop", "silence"]


@dataclass(frozen=True, slots=True)
class Phone:
    """One sound of speech.

    Attributes:
        label: Its name, in the letters of ARPAbet.
        kind: How it is made.
        formants: The lowest three in Hz, for a tract of 17.5 cm.
        milliseconds: How long it lasts on average.
        voice: Amplitude of the glottal pulses, in [0, 1].
        breath: Amplitude of the noise at the glottis, which the whole tract filters.
        friction: Amplitude of the noise at the narrowing, which has a spectrum of its own.
        centre: Middle of that spectrum in Hz.
        width: Half its width in Hz.
    """

    label: str
    kind: Kind
    formants: tuple[float, float, float]
    milliseconds: float
    voice: float = 0.0
    breath: float = 0.0
    friction: float = 0.0
    centre: float = 4000.0
    width: float = 2000.0


def _vowel(label: str, first: float, second: float, third: float, milliseconds: float) -> Phone:
    return Phone(label, "vowel", (first, second, third), milliseconds, voice=1.0)


def _stop(label: str, formants: tuple[float, float, float], centre: float, width: float, voice: float = 0.0) -> Phone:
    breath = 0.0 if voice else 0.5
    return Phone(label, "stop", formants, 85.0, voice, breath, 0.6 - 2 * voice, centre, width)


_ALL: Final = (
    _vowel("IY", 342, 2322, 3000, 110),
    _vowel("IH", 427, 2034, 2684, 85),
    _vowel("EY", 476, 2089, 2691, 125),
    _vowel("EH", 580, 1799, 2605, 95),
    _vowel("AE", 588, 1952, 2601, 130),
    _vowel("AA", 768, 1333, 2522, 130),
    _vowel("AO", 652, 997, 2538, 130),
    _vowel("OW", 497, 910, 2459, 125),
    _vowel("UH", 469, 1122, 2434, 85),
    _vowel("UW", 378, 997, 2343, 110),
    _vowel("AH", 623, 1200, 2550, 90),
    _vowel("ER", 474, 1379, 1710, 115),
    Phone("W", "glide", (290, 610, 2150), 65, voice=0.7),
    Phone("Y", "glide", (260, 2070, 3020), 60, voice=0.7),
    Phone("R", "glide", (310, 1060, 1380), 70, voice=0.7),
    Phone("L", "glide", (310, 1050, 2880), 65, voice=0.7),
    Phone("M", "nasal", (270, 1270, 2130), 70, voice=0.45),
    Phone("N", "nasal", (270, 1340, 2470), 65, voice=0.45),
    Phone("NG", "nasal", (270, 1990, 2750), 75, voice=0.4),
    Phone("HH", "fricative", (500, 1500, 2500), 60, breath=0.5),
    Phone("F", "fricative", (340, 1100, 2080), 95, friction=0.22, centre=6000, width=4000),
    Phone("TH", "fricative", (320, 1290, 2540), 85, friction=0.18, centre=6800, width=3500),
    Phone("S", "fricative", (320, 1390, 2530), 105, friction=0.7, centre=6200, width=1500),
    Phone("SH", "fricative", (300, 1840, 2750), 105, friction=0.7, centre=3400, width=1200),
    Phone("V", "fricative", (220, 1100, 2080), 65, 0.4, friction=0.12, centre=6000, width=4000),
    Phone("DH", "fricative", (270, 1290, 2540), 50, 0.4, friction=0.08, centre=6800, width=3500),
    Phone("Z", "fricative", (240, 1390, 2530), 80, 0.35, friction=0.4, centre=6200, width=1500),
    _stop("P", (400, 1100, 2150), 900, 900),
    _stop("T", (400, 1600, 2600), 4500, 1800),
    _stop("K", (300, 1990, 2850), 2000, 700),
    _stop("B", (200, 1100, 2150), 900, 900, 0.15),
    _stop("D", (200, 1600, 2600), 4500, 1800, 0.15),
    _stop("G", (200, 1990, 2850), 2000, 700, 0.15),
)
PHONES: Final = {phone.label: phone for phone in _ALL}
"""All sounds by label."""
SILENCE: Final = Phone("SIL", "silence", (500, 1500, 2500), 120)
"""What lies between words now and then."""
VOWELS: Final = tuple(phone.label for phone in _ALL if phone.kind == "vowel")
CONSONANTS: Final = tuple(phone.label for phone in _ALL if phone.kind != "vowel")
CODAS: Final = ("M", "N", "NG", "L", "R", "S", "Z", "F", "SH", "P", "T", "K", "D", "G", "TH", "V")
"""What a syllable may end in."""
