"""What a request with an image goes through: a variant, body, cache, pipeline; every way out of it leaves a row."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from starlette.requests import Request

from masking.errors import DeadlineExceeded
from masking.explain import Explanation, explain_image
from masking.face.loading import LoadedModel
from masking.media.probe import ImageLimits, probe
from masking.pipeline import Detected, Masked, detect_image, mask_image
from masking.policy import Policy
from masking.report import VERSION
from mlops.cache import AnswerCache
from mlops.metrics import Metrics
from mlops.predictions.row import CACHED, UTILITY
from mlops.settings import LimitSettings
from services.asgi.body import read_media
from services.serving.account import Account
from services.serving.admission import Admission, Held
from services.serving.answer import Answer
from services.serving.endpoints import FACES, Chosen, Endpoint
from services.serving.ledger import Ledger, blames
from services.serving.shadow import Shadows
from services.serving.utility import uncovered_share
from services.serving.variant_policy import with_variant
from services.serving.watch import StageWatch, watched
from services.serving.wishes import listed

T = TypeVar("T")
Faces = Chosen[LoadedModel]
BYPASS: Final = "bypass"
MISS: Final = "miss"
NO_STORE: Final = "no-store"
NO_LOOK: Final = frozenset({"no-cache", NO_STORE})
TOO_SLOW: Final = "ask for search=fast, send a smaller picture, or try again when the machine is less busy"
EXPLAINING_LOOKS: Final = 2
"""Searches that an explanation takes."""
THOROUGH_LOOKS: Final = 4
"""What a thorough search costs, in fast ones."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is asked about.

    Attributes:
        request: Who asks.
        data: The file.
        policy: What is wished.
        account: The request's account.
    """

    request: Request
    data: bytes
    policy: Policy
    account: Account

    def wished(self, chosen: Faces) -> Policy:
        """Return what is wished of a variant: its own policy holds where the request says nothing."""
        return with_variant(self.policy, chosen.variant, set(self.request.query_params))


@dataclass(frozen=True, slots=True)
class Served:
    """A masked answer, and the account of the request, which knows what it was chosen from.

    Attributes:
        answer: The masked image and its report.
        account: The request's account.
    """

    answer: Answer
    account: Account


@dataclass(frozen=True, slots=True)
class DataPlane:
    """Everything a request needs."""

    faces: Endpoint[LoadedModel]
    admission: Admission
    cache: AnswerCache
    limits: LimitSettings
    metrics: Metrics
    ledger: Ledger
    shadows: Shadows

    async def mask(self, request: Request, policy: Policy) -> Served:
        """Mask the media in a request's body, or answer what was answered before.

        Raises:
            MaskingError, RequestError: as the table in `services.asgi.problems` has them.
        """
        with self.ledger.of(request, FACES, self._failed) as account, self.admission.holding() as held:
            chosen = account.choose(self.faces)
            picture = await self._picture(request, policy, account, held)
            answer = await self._with_fallback(account, chosen, lambda used: self._answered(picture, used))
            account.counts = {"faces": answer.faces, "megapixels": answer.megapixels, **account.counts}
            self._count(answer.media_type, "cached" if account.outcome == CACHED else "masked")
            self.metrics.faces_masked.labels(str(answer.report["style"])).inc(answer.faces)
            return Served(answer, account)

    async def detect(self, request: Request, policy: Policy) -> tuple[Detected, Account]:
        """Find what `mask` would mask; errors as there."""
        with self.ledger.of(request, FACES, self._failed) as account, self.admission.holding() as held:
            chosen = account.choose(self.faces)
            picture = await self._picture(request, policy, account, held)
            found = await self._with_fallback(account, chosen, lambda used: self._detected(picture, used))
            account.counts = {"faces": len(found.faces), "megapixels": found.width * found.height / 1e6}
            self._count(None, "detected")
            return found, account

    async def explain(self, request: Request, policy: Policy) -> tuple[Explanation, Account]:
        """Say why `mask` masks what it does; errors as there."""
        with self.ledger.of(request, FACES, self._failed) as account, self.admission.holding() as held:
            chosen = account.choose(self.faces)
            picture = await self._picture(request, policy, account, held)
            told = await self._with_fallback(account, chosen, lambda used: self._explained(picture, used))
            account.counts = {"explained": 1, "megapixels": told.width * told.height / 1e6}
            self._count(None, "explained")
            return told, account

    async def _picture(self, request: Request, policy: Policy, account: Account, held: Held) -> Picture:
        media = await read_media(request, self.limits.image_bytes, self.limits.upload_seconds, held.add)
        return Picture(request, media.data, listed(policy, media.regions), account)

    async def _with_fallback(self, account: Account, chosen: Faces, answer: Callable[[Faces], Awaitable[T]]) -> T:
        """Answer by what was chosen, or by the champion where a candidate fails."""
        try:
            return await answer(chosen)
        except Exception as error:
            if not blames(error, account.chosen):
                raise
            self.ledger.failed(account, FACES, error)
            champion = account.chosen = self.faces.champion()
            return await answer(champion)

    async def _answered(self, picture: Picture, chosen: Faces) -> Answer:
        wishes, account = _directives(picture.request), picture.account
        digest = b"" if NO_STORE in wishes else await self.cache.digest(picture.data)
        if not wishes & NO_LOOK:
            key = self.cache.key(digest, *_facts(chosen, picture.wished(chosen)))
            found = await self.cache.get(key, [subject_tag(account.subject)])
            if found is not None:
                account.outcome, account.cache = CACHED, f"hit-{found[1]}"
                return Answer.unpack(found[0])
        answer, used = await self._masked(picture, chosen)
        account.cache = BYPASS if wishes & NO_LOOK else MISS
        if NO_STORE not in wishes:
            # What was chosen may have been rolled back before its turn came: the key names what was used.
            key = self.cache.key(digest, *_facts(used, picture.wished(used)))
            self.cache.put(key, answer.pack(), [version_tag(used.model.version), subject_tag(account.subject)])
        return answer

    async def _masked(self, picture: Picture, chosen: Faces) -> tuple[Answer, Faces]:
        def work(used: Faces, policy: Policy, watch: StageWatch) -> tuple[Answer, Faces]:
            model = used.model
            detector = watched(model.detector, watch)
            masked = mask_image(picture.data, policy, detector, self._image_limits(), watch, model.maskers)
            answer, account = Answer.of(masked, model), picture.account
            account.counts = {UTILITY: _utility(masked)}
            features = {"boxes": masked.faces.boxes, "scores": masked.faces.scores}
            kept = answer.data, answer.media_type, answer.report
            self.ledger.capture(account, FACES, *kept, features=features, raw=picture.data)
            return answer, used

        answer, used = await self._run(picture, chosen, work)
        if (shadow := self.faces.shadow()) is not None:
            wished = picture.wished(shadow)
            copy = partial(self._copied, picture.data, wished, shadow.model, {"champion_faces": answer.faces})
            self.shadows.offer(picture.account, FACES, shadow, len(picture.data), copy)
        return answer, used

    def _copied(
        self,
        data: bytes,
        policy: Policy,
        model: LoadedModel,
        told: Mapping[str, float],
        copy: Account,
        watch: StageWatch,
    ) -> None:
        """Mask a picture for nobody, in the thread of shadows."""
        masked = mask_image(data, policy, watched(model.detector, watch), self._image_limits(), watch, model.maskers)
        copy.counts = {"faces": masked.report.faces, UTILITY: _utility(masked), **told}
        features = {"boxes": masked.faces.boxes, "scores": masked.faces.scores}
        report = masked.report.by(model).as_dict()
        self.ledger.capture(copy, FACES, masked.data, masked.media_type, report, features)

    async def _detected(self, picture: Picture, chosen: Faces) -> Detected:
        def work(used: Faces, policy: Policy, watch: StageWatch) -> Detected:
            return detect_image(picture.data, policy, watched(used.model.detector, watch), self._image_limits(), watch)

        return await self._run(picture, chosen, work)

    async def _explained(self, picture: Picture, chosen: Faces) -> Explanation:
        def work(used: Faces, policy: Policy, watch: StageWatch) -> Explanation:
            model = used.model
            detector = watched(model.detector, watch)
            return explain_image(picture.data, policy, detector, self._image_limits(), watch, model.maskers)

        return await self._run(picture, chosen, work, EXPLAINING_LOOKS)

    async def _run(
        self, picture: Picture, chosen: Faces, work: Callable[[Faces, Policy, StageWatch], T], looks: int = 1
    ) -> T:
        """Do work on a picture in a thread, by what was chosen if that still answers when its turn comes."""
        account = picture.account

        def turn(watch: StageWatch) -> T:
            account.stages = watch.stages
            used = account.still(self.faces, chosen)
            return work(used, picture.wished(used), watch)

        self.admission.check_queue()
        units = await _units(picture.data, self._image_limits(), picture.wished(chosen))
        try:
            return await self.admission.run(turn, units * looks, picture.request)
        except DeadlineExceeded:
            raise DeadlineExceeded(TOO_SLOW) from None

    def _image_limits(self) -> ImageLimits:
        limits = self.limits
        return ImageLimits(bytes=limits.image_bytes, pixels=limits.image_pixels, side=limits.image_side)

    def _failed(self, outcome: str) -> None:
        self._count(None, outcome)

    def _count(self, media_type: str | None, outcome: str) -> None:
        self.metrics.images.labels((media_type or "image/unknown").removeprefix("image/"), outcome).inc()


def _utility(masked: Masked) -> float:
    """Return how much of a picture lies under no mask."""
    return uncovered_share(masked.faces.boxes, masked.report.width, masked.report.height)


def version_tag(version: str) -> str:
    """Return what the answers of a version are purged by."""
    return f"version {version}"


def subject_tag(subject: str) -> str:
    """Return what the answers to a subject are purged by."""
    return f"subject {subject}"


def _facts(chosen: Faces, policy: Policy) -> tuple[str, ...]:
    """Return everything but the media that an answer depends on."""
    model = chosen.model
    return ("mask", VERSION, model.name, model.version, model.bundle, model.precision, policy.digest)


def _directives(request: Request) -> set[str]:
    given = ",".join(request.headers.getlist("cache-control")).lower()
    return {directive.strip() for directive in given.split(",")}


async def _units(data: bytes, limits: ImageLimits, policy: Policy) -> float:
    """Return how much work an image is: its megapixels, and one for what every image costs, times the looks at it."""
    # What cannot be masked is refused here, before it waits for a thread.
    header = await asyncio.to_thread(probe, data, limits)
    return (1 + header.width * header.height / 1e6) * (THOROUGH_LOOKS if policy.search == "thorough" else 1)
