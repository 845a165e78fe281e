"""What is done for each kind of job."""

from collections.abc import Mapping
from typing import Any, Final

from masking.audio import mask_audio
from masking.face.loading import load_model
from masking.policy import VideoPolicy
from masking.selection import Selection
from masking.video import mask_video
from masking.voice.loading import load_voice
from masking.voice.policy import VoicePolicy
from mlops.settings import Settings
from services.asgi.limits import audio_limits, video_limits
from services.worker.champion import Champion
from services.worker.runner import Outcome, Task, Work

MASK_VIDEO: Final = "mask-video"
MASK_AUDIO: Final = "mask-audio"


def kinds(settings: Settings) -> Mapping[str, Work]:
    """Return the work of every kind of job."""
    registry = settings.registry
    faces = Champion(registry.bundles_path, registry.model, load_model)
    voices = Champion(registry.bundles_path, registry.voice_model, load_voice)
    limits, sound_limits = video_limits(settings.limits), audio_limits(settings.limits)

    def masked_video(task: Task) -> Outcome:
        policy = policy_of(task.options)
        model = faces.model()
        voice_model = voices.model() if policy.sound == "mask" else None
        report = mask_video(
            task.source, task.target, policy, model.detector, limits, task.observer, model.maskers, voice_model
        )
        return Outcome(report.by(model).as_dict(), report.kind, report.needs_review)

    def masked_audio(task: Task) -> Outcome:
        policy, model = VoicePolicy(**task.options), voices.model()
        report = mask_audio(task.source, task.target, policy, model, sound_limits, task.observer)
        return Outcome(report.as_dict(), report.kind, report.needs_review)

    return {MASK_VIDEO: masked_video, MASK_AUDIO: masked_audio}


def policy_of(options: Mapping[str, Any]) -> VideoPolicy:
    """Return the policy whose facts a video's job keeps as its options.

    Raises:
        PolicyError: A value is out of range.
    """
    listed = options["selection"]
    selection = Selection.from_json(listed) if listed else Selection()
    voice = VoicePolicy(**options.get("voice", {}))
    return VideoPolicy(**{**options, "selection": selection, "voice": voice})
