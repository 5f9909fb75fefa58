"""Our own decoding of WFDB files against the wfdb package, on random records."""

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.ingest.block import Shape, read_one
from ecg.leads import LEADS, lead_order
from ecg.records import BadRecord
from ecg.sources.source import Entry, Source
from ecg.sources.wfdb_files import SignalError, decode_any, decode_plain, read_leads, read_microvolt, read_signal
from ecg.sources.wfdb_header import _LAYOUTS, MOST_LAYOUTS, parse_header, parse_words
from ecg.sources.wfdb_samples import NOT_SOUND, decode, needed_bytes
from tests.ecg.archives import beats, write_record

BITS = {"16": 16, "212": 12, "24": 24, "32": 32}
ONE_RECORD = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)


@st.composite
def records(draw, *, channels=None, fewest=1):
    """A format, digital samples over its whole range, the least value among them, and header fields."""
    fmt = draw(st.sampled_from(sorted(BITS)))
    half = 1 << (BITS[fmt] - 1)
    count, length = draw(channels or st.integers(1, 14)), draw(st.integers(fewest, 130))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([3, 300, half]))
    digital = rng.integers(-min(size, half), min(size, half), (length, count))
    if draw(st.booleans()):
        digital[draw(st.integers(0, length - 1)), draw(st.integers(0, count - 1))] = -half
    gains = [draw(st.sampled_from([0.5, 1.0, 200.0, 204.8, 1000.0, 4880.5, 1e5])) for _ in range(count)]
    baselines = [draw(st.integers(-half, half - 1)) for _ in range(count)]
    return fmt, digital, gains, baselines


def write(path, fmt, digital, gains, baselines, *, offset=0, names=None, unit="mV", rate=100):
    """Write with wfdb, and put an offset in front of the samples by hand, which wfdb cannot."""
    count = digital.shape[1]
    names = names or [f"c{i}" for i in range(count)]
    wfdb.wrsamp(path.name, fs=rate, units=[unit] * count, sig_name=list(names), d_signal=digital.astype(np.int64),
                fmt=[fmt] * count, adc_gain=gains, baseline=baselines, write_dir=str(path.parent))
    if offset:
        file, header = path.with_suffix(".dat"), path.with_suffix(".hea")
        file.write_bytes(b"\x5a" * offset + file.read_bytes())
        header.write_text(header.read_text().replace(f".dat {fmt} ", f".dat {fmt}+{offset} "))
    return path


@ONE_RECORD
@given(record=records(), offset=st.sampled_from([0, 0, 1, 24]))
def test_every_format_gives_the_samples_of_wfdb_bit_for_bit(tmp_path, record, offset):
    path = write(tmp_path / "r", *record, offset=offset)
    header = parse_header(path.with_suffix(".hea").read_text())
    ours, theirs = decode_plain(str(path), header), decode_any(path, twelve=False)
    np.testing.assert_array_equal(ours.digital, theirs.digital)
    for field in ("missing", "gains", "baselines"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))
    assert (ours.names, ours.units, ours.checksums, ours.sampling_rate) == (
        theirs.names, theirs.units, theirs.checksums, theirs.sampling_rate)
    sums = ours.digital.sum(axis=0, dtype=np.int64)
    assert all((int(total) - stated) % 65536 == 0 for total, stated in zip(sums, ours.checksums, strict=True))


@ONE_RECORD
@given(record=records(channels=st.just(12)), unit=st.sampled_from(["mV", "uV", "V"]))
def test_twelve_leads_give_the_millivolt_of_wfdb_bit_for_bit(tmp_path, record, unit):
    path = write(tmp_path / "r", *record, names=LEADS[::-1], unit=unit)
    theirs = wfdb.rdrecord(str(path))
    scale = {"mV": 1.0, "uV": 1e-3, "V": 1e3}[unit]
    expected = (theirs.p_signal * scale).T[lead_order(theirs.sig_name)].astype(np.float32)
    np.testing.assert_array_equal(read_signal(path).millivolt, expected)


@ONE_RECORD
@given(record=records(channels=st.just(12), fewest=100), samples=st.integers(1, 100), data=st.data())
def test_the_short_way_into_the_store_gives_the_values_of_the_long_one(tmp_path, record, samples, data):
    fmt, digital, gains, baselines = record
    if data.draw(st.booleans()):  # random baselines are mostly out of range, and then both give the record up
        baselines = [0] * 12
    path = write(tmp_path / "r", fmt, digital, gains, baselines, names=LEADS)
    entry, shape = Entry("r", str(path), "p", ()), Shape(100.0, samples / 100.0)
    short, long = (np.zeros((12, samples), np.int16) for _ in range(2))
    found = read_one(Source("s", (), ()), entry, shape, short)
    slow = read_one(SlowSource("s", (), ()), entry, shape, long)
    assert found == slow
    if not isinstance(found, BadRecord):
        np.testing.assert_array_equal(short, long)


class SlowSource(Source):
    """The same source without the short way."""

    direct = False


def test_sound_records_do_take_the_short_way_and_others_do_not(tmp_path):
    out = np.zeros((12, 1000), np.int16)
    write_record(tmp_path / "r", beats(0))
    assert read_microvolt(str(tmp_path / "r"), 100.0, out) == 0
    np.testing.assert_array_equal(out, np.rint(read_signal(tmp_path / "r").millivolt * 1000))
    signal = beats(1)
    signal[[7, 8]] = 0.25
    write_record(tmp_path / "flat", signal)
    assert read_microvolt(str(tmp_path / "flat"), 100.0, out) == (1 << 7 | 1 << 8)
    write_record(tmp_path / "fast", beats(0, rate=500), rate=500)
    write_record(tmp_path / "short", beats(0, seconds=9.0))
    signal[3, 4] = np.nan
    write_record(tmp_path / "missing", signal)
    write_record(tmp_path / "spike", np.where(np.arange(1000) == 3, 40.0, beats(2)), gain=200)
    write_record(tmp_path / "eight", beats(0)[:8], names=LEADS[:8])
    for name in ("fast", "short", "missing", "spike", "eight", "nowhere"):
        assert read_microvolt(str(tmp_path / name), 100.0, out) == NOT_SOUND


def test_cinc_headers_are_read_without_a_baseline_of_their_own(tmp_path):
    digital = np.rint(beats(4, rate=500) * 1000).astype("<i2")
    (tmp_path / "A1.mat").write_bytes(b"m" * 24 + digital.T.tobytes())
    lines = [f"A1.mat 16+24 1000/mV 16 0 {x[0]} {x.astype(int).sum() % 65536} 0 {name}"
             for x, name in zip(digital, LEADS, strict=True)]
    (tmp_path / "A1.hea").write_text("\n".join(["A1 12 500 5000 12-May-2020 12:33:59", *lines, "#Age: 80", ""]))
    assert parse_header((tmp_path / "A1.hea").read_text()) is not None
    np.testing.assert_array_equal(read_signal(tmp_path / "A1").millivolt, (digital / 1000).astype(np.float32))
    np.testing.assert_array_equal(wfdb.rdrecord(str(tmp_path / "A1")).p_signal.T, digital / 1000)


@pytest.mark.parametrize("change", [
    lambda text: text.replace("r 12 100", "r/2 12 100", 1), lambda text: text.replace(".dat 16 ", ".dat 16x2 "),
    lambda text: text.replace("r.dat", "other.dat", 1), lambda text: text.replace("mV", "µV"),
    lambda text: text.replace(" 0 I\n", " 512 I\n", 1), lambda text: text.replace("1000.0(0)", "0(0)", 1),
    lambda text: text.replace("r.dat", "../r.dat"), lambda text: text[:len(text) // 2],
])
def test_a_header_of_another_kind_is_left_to_wfdb(tmp_path, change):
    write_record(tmp_path / "r", beats(0))
    text = (tmp_path / "r.hea").read_text()
    assert parse_header(text) is not None and change(text) != text
    assert parse_header(change(text)) is None


PIECES = st.sampled_from(["", " ", "  ", "\t", "\n", "\n\n", "\r\n", "#", "\n# Age: 5\n", "0", "-", "12", "99999999999",
                          ".5", "I", "x.dat", "x/", "+24", "µ", "\x0b", "\x1c", "\0",
                          "r.dat 16 1000.0(0)/mV 16 0 0 0 0 I\n"])


@settings(max_examples=300, deadline=None)
@given(cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), PIECES), max_size=3),
       notes=st.sampled_from(["", "#Age: 5\n#Dx: 1,2\n", "#\n"]))
def test_a_header_matched_whole_is_read_as_word_by_word(cuts, notes):
    """The layout's expression may only find what the words say, whatever is done to the header."""
    lines = [f"r.dat 16 1000.0(0)/mV 16 0 {7 * i} {-31 * i} 0 {name}" for i, name in enumerate(LEADS)]
    sound = "\n".join(["r 12 100 1000 12:33:59", *lines, notes])
    for _ in range(3):  # the layout is known, and has its expression
        assert parse_header(sound) and _LAYOUTS.form
    text = sound
    for share, length, piece in cuts:
        place = round(share * len(text))
        text = text[:place] + piece + text[place + length:]
    whole, words = parse_header(text), parse_words(text)
    assert whole == words
    if not cuts:
        assert _LAYOUTS.form.fullmatch(text)


def test_the_memory_of_layouts_is_bounded(tmp_path):
    write_record(tmp_path / "r", beats(0))
    text = (tmp_path / "r.hea").read_text()
    for number in range(MOST_LAYOUTS + 10):
        assert parse_header(text.replace("1000.0(0)", f"{number + 1}.0(0)"))
    assert len(_LAYOUTS) <= MOST_LAYOUTS


def test_a_header_without_end_is_refused_unread(tmp_path):
    with open(tmp_path / "r.hea", "wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(SignalError, match="unreadable_header: r.hea is longer than"):
        read_leads(tmp_path / "r")


@given(st.sampled_from(sorted(BITS)), st.integers(0, 50), st.integers(0, 3))
def test_every_sample_of_a_format_is_what_the_manual_says(fmt, count, offset):
    """The formats spelt out bit by bit, for odd counts too."""
    data = np.random.default_rng([count, offset]).bytes(offset + needed_bytes(fmt, count))
    found, bits = decode(data, fmt, count=count, offset=offset), BITS[fmt]
    for i in range(count):
        if fmt == "212":
            first = offset + i // 2 * 3
            value = (data[first] | (data[first + 1] & 15) << 8 if i % 2 == 0
                     else data[first + 2] | (data[first + 1] >> 4) << 8)
        else:
            value = int.from_bytes(data[offset + i * bits // 8:offset + (i + 1) * bits // 8], "little")
        assert found[i] == value - (value >> (bits - 1) << bits)
