"""Where somebody speaks: what masking a sound file, or the sound of a video, would take for speech."""

import math
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from masking.media.audio import AudioLimits, Block, open_audio, probe_audio
from masking.media.video import VideoLimits, probe_video
from masking.media.video_track import TrackReader, probe_track
from masking.observer import Unobserved, VideoObserver
from masking.voice.loading import VoiceModel
from masking.voice.policy import VoicePolicy
from masking.voice.pseudo import PseudoVoice
from masking.voice.report import VoiceReport
from masking.voice.sound import SoundStream
from masking.voice.stream import StreamSettings
from masking.voice.types import Mono


def find_speech(
    source: Path,
    policy: VoicePolicy,
    model: VoiceModel,
    limits: AudioLimits,
    observer: VideoObserver | None = None,
) -> VoiceReport:
    """Give the report that `masking.audio.mask_audio` would give, without digests, and mask nothing.

    Arguments and errors as there.
    """
    observer = observer or Unobserved()
    probe = probe_audio(source, limits)
    stream = _stream(policy, model, probe.rate, probe.channels)
    total = round(1000 * probe.seconds) or None
    with open_audio(source, probe) as reader:
        _listen(reader, stream, probe.rate, observer, total)
        damage = reader.damage or ""
    report = VoiceReport.of(stream.account, policy, probe.media_type, probe.rate, probe.channels, stream.taken)
    return replace(report.by(model), damage=damage, needs_review=bool(damage))


def find_video_speech(
    source: Path,
    policy: VoicePolicy,
    model: VoiceModel,
    limits: VideoLimits,
    observer: VideoObserver | None = None,
) -> VoiceReport | None:
    """Give the same for the sound of a video; None where it has none.

    Raises:
        MediaError: The input's fault; see `masking.errors` for which.
        ModelError: The model failed.
    """
    video = probe_video(source, limits)
    if not video.has_sound:
        return None
    track = probe_track(source, video, AudioLimits(limits.bytes, math.inf))
    stream = _stream(policy, model, track.rate, track.channels)
    with closing(TrackReader(source, video, track)) as reader:
        _listen(reader, stream, track.rate, observer or Unobserved(), round(1000 * video.seconds) or None)
        damage = reader.damage or ""
    report = VoiceReport.of(stream.account, policy, video.media_type, track.rate, track.channels, stream.taken)
    return replace(report.by(model), damage=damage, needs_review=bool(damage))


def _stream(policy: VoicePolicy, model: VoiceModel, rate: int, channels: int) -> SoundStream:
    return SoundStream(policy, model.vad, _Silent, rate, range(channels), StreamSettings.of_files(policy))


def _listen(
    blocks: Iterable[Block], stream: SoundStream, rate: int, observer: VideoObserver, total: int | None
) -> None:
    for block in blocks:
        stream.feed(block)
        observer.progress(1000 * stream.taken // rate, total)
    stream.finish()


class _Silent:
    """A converter that says nothing: here it matters only when somebody speaks."""

    delay = 0

    def feed(self, samples: Mono, voice: PseudoVoice) -> Mono:
        """Give silence."""
        return np.zeros_like(samples)

    def finish(self) -> Mono:
        """Give no more."""
        return np.empty(0, np.float32)
