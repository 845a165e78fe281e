"""Sound files, read and written block by block: the names that other modules use."""

from masking.media.audio_probe import AudioLimits, AudioProbe, is_audio, probe_audio
from masking.media.audio_reader import AudioReader, open_audio
from masking.media.audio_samples import Block
from masking.media.audio_sniff import sniff_audio
from masking.media.audio_writer import AudioWriter

__all__ = [
    "AudioLimits",
    "AudioProbe",
    "AudioReader",
    "AudioWriter",
    "Block",
    "is_audio",
    "open_audio",
    "probe_audio",
    "sniff_audio",
]
