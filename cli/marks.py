"""What media are known by: the first bytes of each kind, and names where those say nothing."""

import codecs
import re
from pathlib import Path
from typing import Final

from masking.media.audio_sniff import sniff_audio
from masking.media.probe import sniff_image
from masking.media.video_sniff import sniff_video

HEAD_BYTES: Final = 4096

SOUND_SUFFIXES: Final = frozenset(
    (
        ".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".mp3", ".mp2", ".mp1", ".mpga", ".m4a", ".m4b", ".m4r",
        ".aac", ".adts", ".ogg", ".oga", ".opus", ".spx", ".mka", ".weba", ".wma", ".aif", ".aiff", ".aifc", ".caf",
        ".au", ".amr", ".awb", ".3ga", ".ac3", ".eac3", ".ape", ".wv", ".tta", ".dsf", ".dff", ".gsm", ".dss", ".ds2",
    )
)  # fmt: skip
"""Names that promise sound."""

_SUFFIXES: Final = SOUND_SUFFIXES.union(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".jps", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif"),
    (".tiff", ".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs", ".jxl", ".jp2", ".j2k", ".j2c", ".jpf"),
    (".jpx", ".jxr", ".wdp", ".psd", ".psb", ".tga", ".exr", ".qoi", ".pbm", ".pgm", ".ppm", ".pnm", ".pam"),
    (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".orf", ".rw2", ".rwl", ".raf", ".pef", ".srw"),
    (".3fr", ".erf", ".iiq", ".kdc", ".mrw", ".x3f"),
    (".mp4", ".m4v", ".f4v", ".mov", ".qt", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".wmv", ".asf", ".flv", ".mpg"),
    (".mpeg", ".mpe", ".m1v", ".m2v", ".m2ts", ".m2t", ".trp", ".vob", ".dv", ".mxf", ".3gp"),
    (".3gpp", ".3g2", ".3gp2", ".ogv", ".ogm", ".rmvb", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".y4m"),
    (".mjpg", ".mjpeg", ".dav"),
)
"""Names that promise a picture or sound. A kind that is not masked here counts too: who is passed over must be told."""

_SHARED_SUFFIXES: Final = frozenset(
    (".ts", ".mts", ".mod", ".tod", ".raw", ".rm", ".ra", ".dts", ".voc", ".snd", ".mpc")
)
"""Names that text has as well: TypeScript, modules of Go, sources of device trees, words."""

_DOCUMENT: Final = "PDF"
_OTHERS: Final = (
    (rb"GIF8[79]a", "GIF"),
    (rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", "BMP"),
    (rb"II[*+]\0|MM\0[*+]|IIU\0|IIR[OS]\x08|MMOR\0", "TIFF or raw photo"),
    (rb"FUJIFILMCCD-RAW|FOVb|\0MRM|II\x1a\0\0\0HEAP|.{4}ftypcrx ", "raw photo"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"\0\0\0\x0cjP  |.{4}ftypjp[2xm] |\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"II\xbc", "JPEG XR"),
    (rb".{4}ftyphei[cxms]", "HEIC"),
    (rb".{4}ftypm[is]f1", "HEIF"),
    (rb".{4}ftypavi[fs]", "AVIF"),
    (rb"8BPS\0[\1\2]", "Photoshop picture"),
    (rb"v/1\x01", "OpenEXR"),
    (rb"qoif", "QOI"),
    (rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+\d+\s|P7\nWIDTH ", "PNM picture"),
    (rb"RIFF.{4}(AVI|AMV)", "AVI"),
    (rb"RIFF.{4}CDXA", "Video CD"),
    (rb"FLV\x01", "Flash video"),
    (rb"0&\xb2u", "Windows Media file"),
    (rb"\0\0\x01\xba", "MPEG programme stream"),
    (rb"\0\0\x01\xb3", "MPEG video without a container"),
    (rb"\0?\0\0\x01[\x09\x27\x47\x67]|\0?\0\0\x01[\x40\x46]\x01", "H.264 or H.265 without a container"),
    (rb"DKIF\0\0", "IVF"),
    (rb"\x1f\x07\0[\x3f\xbf]", "DV"),
    (rb"\x06\x0e\x2b\x34", "MXF"),
    (rb"\.RMF\0|\.ra\xfd", "RealMedia"),
    (rb"OggS\0", "Ogg video"),
    (rb"\x1a\x45\xdf\xa3", "Matroska of an unknown kind"),
    (rb"YUV4MPEG2 ", "YUV4MPEG"),
    (rb"DHAV", "recording of a surveillance camera"),
    (rb"RIFX.{4}WAVE", "big-endian WAV"),
    (rb"riff\x2e\x91\xcf\x11", "Wave64"),
    (rb"FORM.{4}AIF[FC]", "AIFF"),
    (rb"caff\0", "CAF"),
    (rb"\.snd\0", "AU"),
    (rb"#!AMR[^\n]{0,9}\n", "AMR"),
    (rb"\x0bw.{3}[\0-\x87]", "AC-3"),
    (rb"MAC .\x0f", "Monkey's Audio"),
    (rb"wvpk", "WavPack"),
    (rb"TTA[12]", "True Audio"),
    (rb"MPCK|MP\+[\x07\x17\x27]", "Musepack"),
    (rb"DSD \x1c\0|FRM8\0", "DSD"),
    (rb"Creative Voice File\x1a", "Creative Voice"),
    (rb"\x7f\xfe\x80\x01", "DTS"),
    (rb".{128}DICM", "DICOM"),
    (rb"%PDF", _DOCUMENT),
)
"""How kinds that are not masked here begin, and their names."""

_PACKETS: Final = (188, 192, 204)
_FEWEST_PACKETS: Final = 3
_SYNC: Final = 0x47
_WHITE: Final = "\t\n\r\f\b\x1b"


def looks_like_media(path: Path) -> bool:
    """Tell whether a file is a picture, a video or sound, or is named like one, of whatever kind."""
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        return suffix in _SHARED_SUFFIXES
    if other(head) not in ("", _DOCUMENT):
        return True
    # Words can stand where a kind has its mark, as in "The free encyclopedia".
    if _is_text(head):
        return False
    return suffix in _SHARED_SUFFIXES or sniff_audio(head) or sniff_image(head) or sniff_video(head)


def other(head: bytes) -> str:
    """Name the kind, among those that are not masked here, of a file that begins so; empty where it is not known."""
    if _is_transport_stream(head):
        return "MPEG transport stream"
    return next((name for mark, name in _OTHERS if re.match(mark, head, re.DOTALL)), "")


def _is_transport_stream(head: bytes) -> bool:
    """Tell whether packets follow each other, each with its mark, from wherever the first one begins."""
    marks = (head[at::size] for size in _PACKETS for at in range(min(size, len(head))) if head[at] == _SYNC)
    return any(len(found) >= _FEWEST_PACKETS and set(found) == {_SYNC} for found in marks)


def _is_text(head: bytes) -> bool:
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return all(letter >= " " or letter in _WHITE for letter in text)
