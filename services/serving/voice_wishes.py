"""The query parameters that say how to mask voices, the same for sound files and videos."""

from typing import Annotated

from fastapi import Query

from masking.voice.maskers import STYLES
from masking.voice.policy import BACKGROUNDS

VoiceStyle = Annotated[
    str,
    Query(
        description="How voices are masked; disguise is light and makes nobody anonymous.",
        json_schema_extra={"enum": list(STYLES)},
    ),
]
Background = Annotated[
    str,
    Query(
        description="Sound that is no speech becomes silence, or is kept as it is.",
        json_schema_extra={"enum": list(BACKGROUNDS)},
    ),
]
Consistent = Annotated[
    bool,
    Query(description="One pseudo-voice for each speaker of the file, which tells who said what; else each utterance."),
]
