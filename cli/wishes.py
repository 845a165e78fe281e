"""What the user wishes, and the policy for each file that follows from it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cli.asked import Asked
from cli.faults import UsageError
from cli.plan import Plan
from cli.regions import Regions, read_regions
from masking.errors import PolicyError
from masking.policy import SOUNDS, Policy, VideoPolicy
from masking.selection import Listed, Selection
from masking.voice.policy import VoicePolicy
from mlops.settings import load_settings

KEY_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything that can be asked for.

    Attributes:
        photos: The policy for photos, without regions.
        videos: The policy for videos, without regions.
        voices: The policy for voices.
        regions: What a person listed for each file.
        drawn: What a person listed for all files.
        keyed: The keys were given; else each sound has a fresh one, so that no two can be linked.
    """

    photos: Policy
    videos: VideoPolicy
    voices: VoicePolicy
    regions: Regions
    drawn: tuple[Listed, ...] = ()
    keyed: bool = False

    def photo(self, name: str) -> Policy:
        """Give the policy for the photo of this name."""
        return replace(self.photos, selection=self._selection(name))

    def video(self, name: str) -> VideoPolicy:
        """Give the policy for the video of this name."""
        return replace(self.videos, selection=self._selection(name), voice=self.voice())

    def voice(self) -> VoicePolicy:
        """Give the policy for the voices of the next file."""
        return self.voices if self.keyed else replace(self.voices, key=VoicePolicy().key)

    def _selection(self, name: str) -> Selection:
        listed = self.regions.of(name)
        return replace(listed, rows=(*listed.rows, *self.drawn))


def read_wishes(asked: Asked, planned: Plan) -> Wishes:
    """Fill in from the settings what was not said, and read the files that were named.

    Raises:
        UsageError: A named file cannot be read, or a region list is for other files.
        PolicyError: A name is unknown or a value out of range.
        InvalidSettings: The settings are wrong.
    """
    defaults = load_settings().masking
    style = asked.style or defaults.style
    threshold = defaults.threshold if asked.threshold is None else asked.threshold
    tone = "keep" if asked.keep_tone else "drop"
    photos = Policy(style, threshold, tone=tone)
    videos = VideoPolicy(
        style, threshold, tone=tone, doubt=asked.doubt, sound=_sound(asked.voice), untouched=asked.untouched
    )
    voices = VoicePolicy(
        asked.voice_style or defaults.voice_style, asked.background or defaults.voice_background, asked.consistent
    )
    if asked.search is not None:
        photos, videos = replace(photos, search=asked.search), replace(videos, search=asked.search)
    if asked.key_file is not None:
        key = read_key(asked.key_file)
        photos, videos, voices = replace(photos, key=key), replace(videos, key=key), replace(voices, key=key)
    regions = Regions() if asked.regions is None else read_regions(asked.regions)
    regions.check(task.name for task in (*planned.tasks, *planned.kept))
    listed = tuple(drawn(action, text) for action in ("mask", "keep") for text in getattr(asked, action))
    return Wishes(photos, videos, voices, regions, listed, asked.key_file is not None)


def _sound(voice: str) -> str:
    """Give what becomes of the sound of a video, which is asked for by the word for voices, as in HTTP."""
    if voice not in SOUNDS:
        raise PolicyError(f"unknown voice; known are {', '.join(SOUNDS)}")
    return voice


def read_key(path: Path) -> bytes:
    """Read the secret from which surrogates and pseudo-voices are drawn.

    Raises:
        UsageError: The file cannot be read, or holds fewer than `KEY_CHARACTERS` bytes.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if len(key) < KEY_CHARACTERS:
        raise UsageError(f"{path} holds fewer than {KEY_CHARACTERS} characters: `openssl rand -hex 32` makes a key")
    return key


def drawn(action: str, text: str) -> Listed:
    """Read a region given as ``x1,y1,x2,y2``.

    Raises:
        UsageError: It is not four numbers.
        PolicyError: They are no box.
    """
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{text!r} is not a region: x1,y1,x2,y2 in pixels of the upright picture") from error
    return Listed("keep" if action == "keep" else "mask", x1, y1, x2, y2)
