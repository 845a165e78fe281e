"""What a sound file goes through: to the spool, looked into, and masked at once or handed on as a job.

No answer is kept in the cache: each request draws its pseudo-voices with a secret of its own, so that two answers to
the same sound cannot be linked, and no two are alike.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request

from masking.audio import mask_audio
from masking.errors import MediaTooLarge
from masking.media.audio import AudioProbe, probe_audio
from masking.observer import observed
from masking.voice.policy import VoicePolicy
from masking.voice.report import VoiceReport
from mlops.jobs.spool import new_identity
from mlops.jobs.table import Job
from mlops.metrics import Metrics
from mlops.settings import LimitSettings
from services.asgi.errors import BrokenBody
from services.asgi.limits import audio_limits
from services.asgi.upload import save_media
from services.serving.account import Account
from services.serving.admission import SOUND, Admission
from services.serving.desk import JobDesk
from services.serving.endpoints import VOICES, Chosen, Endpoint
from services.serving.ledger import Ledger, blames
from services.serving.voices import Voices
from services.serving.watch import StageWatch

MASK_AUDIO: Final = "mask-audio"
RESULT: Final = "masked"
BYPASS: Final = "bypass"


@dataclass(frozen=True, slots=True)
class MaskedSound:
    """A sound file that was masked at once: its bytes, the report, and the account of the request."""

    data: bytes
    report: VoiceReport
    account: Account


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound file in the spool that is masked at once.

    Attributes:
        request: Who asks.
        source: The file.
        probe: What its header tells.
        policy: What is wished.
        account: The request's account.
    """

    request: Request
    source: Path
    probe: AudioProbe
    policy: VoicePolicy
    account: Account


@dataclass(frozen=True, slots=True)
class SoundPlane:
    """Everything a request with sound needs."""

    voices: Endpoint[Voices]
    admission: Admission
    desk: JobDesk
    limits: LimitSettings
    metrics: Metrics
    ledger: Ledger

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
        with self.ledger.of(request, VOICES, lambda outcome: self._count(policy.style, outcome)) as account:
            chosen = account.choose(self.voices)
            if later:
                await self.desk.check_room()
            identity = new_identity()
            answer: MaskedSound | Job | None = None
            try:
                source = await self._saved(request, identity)
                probe = await asyncio.to_thread(probe_audio, source, audio_limits(self.limits))
                if not later and self._is_short(probe):
                    sound = Sound(request, source, probe, policy, account)
                    answer = await self._with_fallback(sound, chosen)
                if answer is None:
                    await self.desk.check_room()
                    answer = await self.desk.add(identity, MASK_AUDIO, policy.facts())
            finally:
                # Whatever it was, cancellation too: what is no job leaves no media.
                if not isinstance(answer, Job):
                    self.desk.spool.remove(identity)
            account.is_told = not isinstance(answer, Job)
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

    async def _with_fallback(self, sound: Sound, chosen: Chosen[Voices]) -> MaskedSound | None:
        """Mask by what was chosen, or by the champion where a candidate fails."""
        try:
            return await self._masked(sound, chosen)
        except Exception as error:
            if not blames(error, sound.account.chosen):
                raise
            self.ledger.failed(sound.account, VOICES, error)
            champion = sound.account.chosen = self.voices.champion()
            return await self._masked(sound, champion)

    async def _masked(self, sound: Sound, chosen: Chosen[Voices]) -> MaskedSound | None:
        """Mask what is short; None where it turns out to be longer than its header tells, or does not tell."""
        limits = audio_limits(self.limits, self.limits.audio_sync_seconds)
        target, account = sound.source.with_name(RESULT), sound.account

        def work(watch: StageWatch) -> VoiceReport:
            account.stages = watch.stages
            used = account.still(self.voices, chosen)
            with observed(watch, "voice"):
                return mask_audio(sound.source, target, sound.policy, used.model.model, limits, watch)

        try:
            report = await self.admission.run(work, self._units(sound.probe), sound.request, SOUND)
        except MediaTooLarge:
            return None
        with self.admission.holding() as held:
            held.add(target.stat().st_size)
            data = await asyncio.to_thread(target.read_bytes)
        self.metrics.sound_seconds.labels(sound.policy.style).inc(report.seconds)
        self.ledger.capture(account, VOICES, data, report.kind, report.as_dict(), {})
        account.cache = BYPASS
        account.counts = {"utterances": len(report.utterances), "seconds": report.seconds}
        return MaskedSound(data, report, account)

    def _count(self, style: str, outcome: str) -> None:
        self.metrics.sounds.labels(style, outcome).inc()
