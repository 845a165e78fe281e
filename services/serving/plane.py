"""What a request goes through: admission, body, cache, pipeline; every way out of it is counted."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from masking.errors import DeadlineExceeded, MediaError
from masking.face.loading import LoadedModel
from masking.media.probe import ImageLimits, probe
from masking.pipeline import Detected, detect_image, mask_image
from masking.policy import Policy
from masking.report import VERSION
from mlops.cache import AnswerCache
from mlops.metrics import Metrics
from mlops.settings import LimitSettings
from services.asgi.body import read_media
from services.asgi.errors import Unavailable
from services.serving.admission import Admission
from services.serving.answer import Answer
from services.serving.pool import ModelPool
from services.serving.watch import StageWatch, watched
from services.serving.wishes import listed

BYPASS: Final = "bypass"
MISS: Final = "miss"
THOROUGH_LOOKS: Final = 4
"""What a thorough search costs, in fast ones."""


@dataclass(frozen=True, slots=True)
class Served:
    """A masked answer, the model it comes from, and what the cache had to do with it.

    Attributes:
        answer: The masked image and its report.
        model: The model that found the faces, now or when the answer was first made.
        cache: ``hit-memory``, ``hit-redis``, ``miss`` or ``bypass``.
    """

    answer: Answer
    model: LoadedModel
    cache: str


@dataclass(frozen=True, slots=True)
class DataPlane:
    """Everything a request needs."""

    pool: ModelPool[LoadedModel]
    admission: Admission
    cache: AnswerCache
    limits: LimitSettings
    metrics: Metrics

    async def mask(self, request: Request, policy: Policy) -> Served:
        """Mask the media in a request's body, or answer what was answered before.

        Raises:
            MaskingError, RequestError: as the table in `services.asgi.problems` has them.
        """
        with self._accounted(), self.admission.holding() as held:
            model = self.pool.current()
            media = await read_media(request, self.limits.image_bytes, self.limits.upload_seconds, held.add)
            data, policy = media.data, listed(policy, media.regions)
            wishes = _directives(request)
            key = await self.cache.key(data, *_facts(model, policy))
            found = None if wishes & {"no-cache", "no-store"} else await self.cache.get(key)
            if found is not None:
                served = Served(Answer.unpack(found[0]), model, f"hit-{found[1]}")
                self._count(served.answer.media_type, "cached")
            else:
                answer = await self._masked(request, data, policy, model)
                served = Served(answer, model, BYPASS if wishes & {"no-cache", "no-store"} else MISS)
                self._count(answer.media_type, "masked")
                if "no-store" not in wishes:
                    self.cache.put(key, answer.pack())
            self.metrics.faces_masked.labels(policy.style).inc(served.answer.faces)
            return served

    async def detect(self, request: Request, policy: Policy) -> tuple[Detected, LoadedModel]:
        """Find what `mask` would mask; errors as there."""
        with self._accounted(), self.admission.holding() as held:
            model = self.pool.current()
            media = await read_media(request, self.limits.image_bytes, self.limits.upload_seconds, held.add)
            data, policy = media.data, listed(policy, media.regions)
            limits = self._image_limits()

            def work(watch: StageWatch) -> Detected:
                return detect_image(data, policy, watched(model.detector, watch), limits, watch)

            found = await self.admission.run(work, await _units(data, limits, policy), request)
            self._count(None, "detected")
            return found, model

    async def _masked(self, request: Request, data: bytes, policy: Policy, model: LoadedModel) -> Answer:
        limits = self._image_limits()

        def work(watch: StageWatch) -> Answer:
            masked = mask_image(data, policy, watched(model.detector, watch), limits, watch, model.maskers)
            return Answer.of(masked, model)

        return await self.admission.run(work, await _units(data, limits, policy), request)

    def _image_limits(self) -> ImageLimits:
        limits = self.limits
        return ImageLimits(bytes=limits.image_bytes, pixels=limits.image_pixels, side=limits.image_side)

    @contextmanager
    def _accounted(self) -> Iterator[None]:
        try:
            yield
        except MediaError:
            self._count(None, "rejected")
            raise
        except (Unavailable, DeadlineExceeded):
            self._count(None, "refused")
            raise
        except Exception:
            self._count(None, "failed")
            raise

    def _count(self, media_type: str | None, outcome: str) -> None:
        self.metrics.images.labels((media_type or "image/unknown").removeprefix("image/"), outcome).inc()


def _facts(model: LoadedModel, policy: Policy) -> tuple[str, ...]:
    """Return everything but the media that an answer depends on."""
    return ("mask", VERSION, model.name, model.version, model.bundle, model.precision, policy.digest)


def _directives(request: Request) -> set[str]:
    given = ",".join(request.headers.getlist("cache-control")).lower()
    return {directive.strip() for directive in given.split(",")}


async def _units(data: bytes, limits: ImageLimits, policy: Policy) -> float:
    """Return how much work an image is: its megapixels, and one for what every image costs, times the looks at it."""
    # What cannot be masked is refused here, before it waits for a thread.
    header = await asyncio.to_thread(probe, data, limits)
    return (1 + header.width * header.height / 1e6) * (THOROUGH_LOOKS if policy.search == "thorough" else 1)
