import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.media.h264 import Sequence, Sets, byte_stream, configuration, sample_units, stream_units
from tests.masking.media.videos import make

MADE = {"preset": "veryfast", "refs": "3", "bf": "0", "level": "2.1"}


def code(value):
    """Write an Exp-Golomb code."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def sequence(*, profile=77, colours="", order=2, references=1, gaps="0", frames="1", crop=None, number=0):
    """Write a sequence parameter set of 4 by 3 macroblocks."""
    bits = f"{profile:08b}" + "0" * 8 + f"{30:08b}" + code(number) + colours + code(0) + code(order)
    bits += code(0) if order == 0 else ""
    bits += code(references) + gaps + code(3) + code(2) + frames + "1"
    bits += "0" if crop is None else "1" + "".join(map(code, crop))
    bits += "01"  # nothing more, and the stop bit
    bits += "0" * (-len(bits) % 8)
    return b"\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_what_an_encoder_says_is_read(tmp_path, profile):
    path = make(tmp_path / "in.mp4", size=(50, 34), options={**MADE, "profile": profile})
    with av.open(str(path)) as source:
        record = source.streams.video[0].codec_context.extradata

    sets, width = configuration(record)

    said = Sequence.of(sets.sequence)
    assert width == 4
    assert (said.profile, said.level) == ({"baseline": 66, "main": 77, "high": 100}[profile], 21)
    assert (said.references, said.size) == (3, (50, 34))
    assert sets.numbers == {0}
    for end in range(len(record) - (5 if profile == "high" else 1)):
        with pytest.raises(ValueError, match=r"record|set"):
            configuration(record[:end])


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (64, 48)),
        ({"order": 0, "references": 4, "number": 7}, (64, 48)),
        ({"crop": (0, 7, 0, 7)}, (50, 34)),
        ({"profile": 100, "colours": code(1) + code(0) + code(0) + "00"}, (64, 48)),
    ],
)
def test_a_plain_sequence_is_taken(changes, size):
    said = Sequence.of(sequence(**changes))

    assert (said.size, said.references) == (size, changes.get("references", 1))
    assert said.number == changes.get("number", 0)


# A picture of which much is stored and not shown could hold a face that nobody looked at.
@pytest.mark.parametrize(
    "changes",
    [
        {"crop": (0, 8, 0, 0)},
        {"crop": (0, 0, 0, 8)},
        {"crop": (1, 0, 0, 0)},
        {"crop": (0, 0, 1, 0)},
        {"profile": 110},
        {"profile": 88},
        {"profile": 100, "colours": code(3) + "0" + code(0) + code(0) + "00"},
        {"profile": 100, "colours": code(1) + code(2) + code(2) + "00"},
        {"profile": 100, "colours": code(1) + code(0) + code(0) + "01"},
        {"gaps": "1"},
        {"frames": "0"},
        {"references": 0},
        {"references": 17},
        {"order": 1},
    ],
)
def test_any_other_sequence_is_not(changes):
    with pytest.raises(ValueError, match="plain"):
        Sequence.of(sequence(**changes))


def picture(*, of=0, groups=0, redundant="0"):
    bits = code(3) + code(of) + "00" + code(groups) + code(0) + code(0) + "000" + code(0) * 3 + "00" + redundant + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x68" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def test_pictures_that_are_stored_in_the_plain_way_are_taken():
    assert Sets.of([sequence(number=2), picture(of=2)]).numbers == {2, 3}


@pytest.mark.parametrize("changes", [{"of": 1}, {"groups": 1}, {"redundant": "1"}])
def test_any_others_are_not(changes):
    with pytest.raises(ValueError, match="plain"):
        _ = Sets.of([sequence(), picture(**changes)]).numbers


@pytest.mark.parametrize(
    "units", [[], [sequence()], [picture()], [sequence(), picture(), picture()], [picture(), sequence()]]
)
def test_a_stream_has_one_set_of_each_kind(units):
    with pytest.raises(ValueError, match="one parameter set"):
        Sets.of(units)


def test_a_sequence_that_is_cut_off_is_not():
    whole = sequence(references=4, crop=(0, 7, 0, 7))

    for end in range(1, len(whole) - 1):
        with pytest.raises(ValueError, match=r"cut off|plain"):
            Sequence.of(whole[:end])


@given(st.lists(st.binary(min_size=1, max_size=40).map(lambda data: b"\x41" + data.replace(b"\0", b"\1")), max_size=5))
def test_units_are_found_again_in_a_byte_stream_and_in_a_sample(units):
    assert stream_units(byte_stream(units)) == units
    assert sample_units(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units), 4) == units


@given(st.binary(max_size=60), st.sampled_from([1, 2, 4]))
def test_a_sample_is_split_whole_or_not_at_all(sample, width):
    try:
        units = sample_units(sample, width)
    except ValueError:
        return
    assert b"".join(len(unit).to_bytes(width, "big") + unit for unit in units) == sample


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    for read in (configuration, lambda data: Sequence.of(b"\x67" + data), lambda data: Sets.of([data[:1] + b"g"])):
        try:
            read(data)
        except ValueError:
            continue
