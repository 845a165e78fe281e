"""What a sound file goes through: to the spool, looked into, and masked at once or handed on as a job.

No answer is kept in the cache: each request draws its pseudo-voices with a secret of its own, so that two answers to
the same sound cannot be linked, and no two are alike.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request

from masking.audio import mask_audio
from masking.errors import DeadlineExceeded, MediaError, MediaTooLarge
from masking.media.audio import AudioProbe, probe_audio
from masking.observer import observed
from masking.voice.loading import VoiceModel
from masking.voice.policy import VoicePolicy
from masking.voice.report import VoiceReport
from mlops.jobs.spool import new_identity
from mlops.jobs.table import Job
from mlops.metrics import Metrics
from mlops.settings import LimitSettings
from services.asgi.errors import BrokenBody, Unavailable
from services.asgi.limits import audio_limits
from services.asgi.upload import save_media
from services.serving.admission import SOUND, Admission
from services.serving.desk import JobDesk
from services.serving.pool import ModelPool
from services.serving.voices import Voices
from services.serving.watch import StageWatch

MASK_AUDIO: Final = "mask-audio"
RESULT: Final = "masked"


@dataclass(frozen=True, slots=True)
class MaskedSound:
    """A sound file that was masked at once: its bytes, and the report, which names the model."""

    data: bytes
    report: VoiceReport


@dataclass(frozen=True, slots=True)
class SoundPlane:
    """Everything a request with sound needs."""

    pool: ModelPool[Voices]
    admission: Admission
    desk: JobDesk
    limits: LimitSettings
    metrics: Metrics

    async def mask(self, request: Request, policy: VoicePolicy, *, later: bool) -> MaskedSound | Job:
        """Mask the sound in a request's body, or take it as a job.

        The body is written to the spool, so that memory does not grow with it; unless it becomes a job, it is gone
        from there when this returns.

        Args:
            request: Raw media of any content type, or a form whose one part is named ``file``.
            policy: What is wished.
            later: Whether the caller asks for a job however short the sound is.

        Raises:
            MaskingError, RequestError: as the table in `services.asgi.problems` has them.
        """
        with self._accounted(policy.style):
            voices = self.pool.current()
            if later:
                await self.desk.check_room()
            identity = new_identity()
            answer: MaskedSound | Job | None = None
            try:
                source = await self._saved(request, identity)
                probe = await asyncio.to_thread(probe_audio, source, audio_limits(self.limits))
                if not later and self._is_short(probe):
                    answer = await self._masked(request, source, probe, policy, voices.model)
                if answer is None:
                    await self.desk.check_room()
                    answer = await self.desk.add(identity, MASK_AUDIO, policy.facts())
            finally:
                # Whatever it was, cancellation too: what is no job leaves no media.
                if not isinstance(answer, Job):
                    self.desk.spool.remove(identity)
            self._count(policy.style, "queued" if isinstance(answer, Job) else "masked")
            return answer

    def _is_short(self, probe: AudioProbe) -> bool:
        """Say whether the sound is answered at once: it is not long, and not of so many channels that it takes long."""
        short = probe.seconds <= self.limits.audio_sync_seconds
        return short and self.admission.is_in_time(self._units(probe), SOUND)

    def _units(self, probe: AudioProbe) -> float:
        """Return how much work a sound is: the seconds of all its channels."""
        return (probe.seconds or self.limits.audio_sync_seconds) * probe.channels

    async def _saved(self, request: Request, identity: str) -> Path:
        limits, spool = self.limits, self.desk.spool
        source = await asyncio.to_thread(spool.make, identity)
        seconds, idle_seconds = limits.video_upload_seconds, limits.video_idle_seconds
        if await save_media(request, source, limits.audio_bytes, seconds, idle_seconds, spool.has_room):
            raise BrokenBody("a sound file has no regions")
        return source

    async def _masked(
        self, request: Request, source: Path, probe: AudioProbe, policy: VoicePolicy, model: VoiceModel
    ) -> MaskedSound | None:
        """Mask what is short; None where it turns out to be longer than its header tells, or does not tell."""
        limits = audio_limits(self.limits, self.limits.audio_sync_seconds)
        target = source.with_name(RESULT)

        def work(watch: StageWatch) -> VoiceReport:
            with observed(watch, "voice"):
                return mask_audio(source, target, policy, model, limits, watch)

        try:
            report = await self.admission.run(work, self._units(probe), request, SOUND)
        except MediaTooLarge:
            return None
        with self.admission.holding() as held:
            held.add(target.stat().st_size)
            data = await asyncio.to_thread(target.read_bytes)
        self.metrics.sound_seconds.labels(policy.style).inc(report.seconds)
        return MaskedSound(data, report)

    @contextmanager
    def _accounted(self, style: str) -> Iterator[None]:
        try:
            yield
        except (MediaError, BrokenBody):
            self._count(style, "rejected")
            raise
        except (Unavailable, DeadlineExceeded):
            self._count(style, "refused")
            raise
        except Exception:
            self._count(style, "failed")
            raise

    def _count(self, style: str, outcome: str) -> None:
        self.metrics.sounds.labels(style, outcome).inc()
