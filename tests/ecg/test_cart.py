"""SCP-ECG and aECG files, written from their standards."""

import numpy as np
import pytest

from benchmarks.fuzz import fuzz
from ecg.leads import LEADS
from ecg.records import BadRecord, RawRecord
from ecg.sources.registry import open_source
from tests.ecg.archives import beats, write_csv
from tests.ecg.archives_cart import write_aecg, write_scp

SIGNAL = beats(3, rate=500)
EIGHT = [0, 1, *range(6, 12)]


def read(path, **row):
    """Write the table of one file, and read it."""
    write_csv(path.parent / "labels.csv", [{"file": path.name, "labels": "AF; NORM", **row}])
    return next(iter(open_source("cart", path.parent)))


@pytest.mark.parametrize(("differences", "huffman"), [(0, False), (1, False), (2, False), (0, True), (2, True)])
def test_every_coding_of_scp_gives_its_samples(tmp_path, differences, huffman):
    record = read(write_scp(tmp_path / "a.scp", SIGNAL, differences=differences, huffman=huffman))
    np.testing.assert_array_equal(record.signal_mv, (np.rint(SIGNAL * 1000) * 1e-3).astype(np.float32))
    assert (record.record, record.patient, record.age, record.sex, record.sampling_rate, record.flags) == (
        "a", "H-4711", 56.0, "F", 500.0, ())
    assert record.labels == ("AF", "NORM") and record.source == "cart"


def test_scp_of_eight_leads_gives_twelve_and_says_so(tmp_path):
    record = read(write_scp(tmp_path / "a.scp", SIGNAL[EIGHT], leads=[LEADS[i] for i in EIGHT], nanovolt=2500))
    np.testing.assert_allclose(record.signal_mv, SIGNAL, atol=4e-3)
    assert record.flags == ("derived_leads",)


@pytest.mark.parametrize("rate", [250, 500, 333])
def test_scale_origin_and_time_base_of_aecg_are_applied(tmp_path, rate):
    record = read(write_aecg(tmp_path / "a.xml", SIGNAL, rate=rate, microvolt=1.25, origin=10.0))
    np.testing.assert_allclose(record.signal_mv, SIGNAL, atol=0.7e-3)
    assert record.sampling_rate == pytest.approx(rate, rel=1e-6)
    assert (record.patient, record.age, record.sex, record.device) == ("H-4711", 56.0, "F", "Cart 9")


def test_the_table_goes_before_the_file(tmp_path):
    record = read(write_aecg(tmp_path / "a.xml", SIGNAL), patient="p1", age="40", sex="M", device="other")
    assert (record.patient, record.age, record.sex, record.device) == ("p1", 40.0, "M", "other")


def _flipped(path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(bytes(data))
    return path


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
WRONG = {
    "checksum": lambda path: _flipped(write_scp(path, SIGNAL)),
    "wrong_leads": lambda path: write_scp(path, SIGNAL[:6], leads=LEADS[:6]),
    "unit": lambda path: write_aecg(path, SIGNAL, unit=""),
    "sampling_rate": lambda path: write_aecg(path, SIGNAL, rate=20),
    "no_patient": lambda path: write_scp(path, SIGNAL, patient=""),
}


@pytest.mark.parametrize("reason", WRONG)
def test_what_is_wrong_is_said(tmp_path, reason):
    record = read(WRONG[reason](tmp_path / "a.scp"))
    assert isinstance(record, BadRecord) and record.reason == reason and str(tmp_path) not in record.detail


def test_leads_at_different_times_are_no_twelve(tmp_path):
    record = read(write_scp(tmp_path / "a.scp", SIGNAL, starts=[1] * 6 + [5001] * 6))
    assert isinstance(record, BadRecord) and record.reason == "wrong_leads"


@pytest.mark.parametrize("text", ["", "no ECG", "<AnnotatedECG", f"{BOMB}<AnnotatedECG>&b;</AnnotatedECG>"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    record = read(tmp_path / "a.xml")
    assert isinstance(record, BadRecord) and record.reason == "unreadable_signal"
    assert isinstance(read(tmp_path / "b.xml"), BadRecord)


def test_no_damage_crashes_or_hangs(tmp_path):
    folder = tmp_path / "t"
    for number in range(2):
        write_scp(folder / f"s{number}.scp", SIGNAL[:, :1000], differences=2, huffman=bool(number))
        write_aecg(folder / f"x{number}.xml", SIGNAL[:, :1000])
    write_csv(folder / "labels.csv", [{"file": file, "labels": "NORM"} for file in
                                      ("s0.scp", "s1.scp", "x0.xml", "x1.xml")])
    assert all(isinstance(record, RawRecord) for record in open_source("cart", folder))
    verdicts, records, faults = fuzz("cart", folder, count=60, seed=1)
    assert not faults and records["read"] > 60 and records["checksum"]
