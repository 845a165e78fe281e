"""What a sound file goes through: to the spool, looked into, and masked at once or handed on as a job.

No answer is kept in the cache: each request draws its pseudo-voices with a secret of its own, so that two answers to
the same sound cannot be linked, and no two are alike.
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
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
from mlops.predictions.row import UTILITY
from mlops.settings import LimitSettings
from services.asgi.errors import BrokenBody
from services.asgi.limits import audio_limits
from services.asgi.upload import save_media
from services.serving.account import Account
from services.serving.admission import SOUND, Admission
from services.serving.desk import JobDesk
from services.serving.endpoints import VOICES, Chosen, Endpoint
from services.serving.ledger import Ledger, blames
from services.serving.shadow import Shadows
from services.serving.variant_policy import with_variant
from services.serving.voices import Voices
from services.serving.watch import StageWatch

MASK_AUDIO: Final = "mask-audio"
RESULT: Final = "masked"
COPY: Final = "shadow"
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
        left: Set once nobody waits for it and its folder goes.
    """

    request: Request
    source: Path
    probe: AudioProbe
    policy: VoicePolicy
    account: Account
    left: threading.Event

    def wished(self, chosen: Chosen[Voices]) -> VoicePolicy:
        """Return what is wished of a variant: its own policy holds where the request says nothing."""
        return with_variant(self.policy, chosen.variant, self.request.query_params)


@dataclass(frozen=True, slots=True)
class SoundPlane:
    """Everything a request with sound needs."""

    voices: Endpoint[Voices]
    admission: Admission
    desk: JobDesk
    limits: LimitSettings
    metrics: Metrics
    ledger: Ledger
    shadows: Shadows

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
            is_needed, left = False, threading.Event()
            try:
                source = await self._saved(request, identity)
                probe = await asyncio.to_thread(probe_audio, source, audio_limits(self.limits))
                if not later and self._is_short(probe):
                    sound = Sound(request, source, probe, policy, account, left)
                    answer = await self._with_fallback(sound, chosen)
                    is_needed = answer is not None and self._is_copied(sound, answer.report)
                if answer is None:
                    await self.desk.check_room()
                    answer = await self.desk.add(identity, MASK_AUDIO, policy.facts())
                    is_needed = True
            finally:
                # Whatever it was, cancellation too: what is neither a job nor a shadow's leaves no media.
                if not is_needed:
                    left.set()
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
            try:
                with observed(watch, "voice"):
                    return mask_audio(sound.source, target, sound.wished(used), used.model.model, limits, watch)
            finally:
                if sound.left.is_set():
                    # The request ended before its work did: what that wrote while its folder went is media, too.
                    self.desk.spool.remove(sound.source.parent.name)

        try:
            report = await self.admission.run(work, self._units(sound.probe), sound.request, SOUND)
        except MediaTooLarge:
            return None
        with self.admission.holding() as held:
            held.add(target.stat().st_size)
            data = await asyncio.to_thread(target.read_bytes)
        self.metrics.sound_seconds.labels(report.style).inc(report.seconds)
        self.ledger.capture(account, VOICES, data, report.kind, report.as_dict(), {})
        account.cache = BYPASS
        account.counts = _counted(report)
        return MaskedSound(data, report, account)

    def _is_copied(self, sound: Sound, report: VoiceReport) -> bool:
        """Offer a shadow a copy; says whether it takes the file, which then is removed when that is done."""
        shadow = self.voices.shadow()
        if shadow is None:
            return False
        told = {f"champion_{name}": count for name, count in _counted(report).items() if name != "seconds"}
        wished = sound.wished(shadow)
        # Pseudo-voices of its own: what is captured of both cannot be linked by them.
        policy = VoicePolicy(wished.style, wished.background, wished.consistent)
        work = partial(self._copied, sound.source, policy, shadow.model, told)
        ended = partial(self.desk.spool.remove, sound.source.parent.name)
        return self.shadows.offer(sound.account, VOICES, shadow, 0, work, ended)

    def _copied(
        self,
        source: Path,
        policy: VoicePolicy,
        voices: Voices,
        told: Mapping[str, float],
        copy: Account,
        watch: StageWatch,
    ) -> None:
        """Mask a sound for nobody, in the thread of shadows."""
        target = source.with_name(COPY)
        limits = audio_limits(self.limits, self.limits.audio_sync_seconds)
        with observed(watch, "voice"):
            report = mask_audio(source, target, policy, voices.model, limits, watch)
        copy.counts = {**_counted(report), **told}
        self.ledger.capture(copy, VOICES, target.read_bytes(), report.kind, report.as_dict(), {})

    def _count(self, style: str, outcome: str) -> None:
        self.metrics.sounds.labels(style, outcome).inc()


def _counted(report: VoiceReport) -> dict[str, float]:
    """Return what a row says of masked sound."""
    return {
        "utterances": len(report.utterances),
        "seconds": report.seconds,
        # What was not found to be speech is silence by default, so that words which were not found are lost.
        UTILITY: report.speech_seconds / report.seconds if report.seconds else 0.0,
    }
