"""ECG waveforms of DICOM files, written by pydicom."""

import math

import numpy as np
import pytest

from ecg.leads import LEADS
from ecg.records import BadRecord, RawRecord
from ecg.sources.dicom import _age
from ecg.sources.registry import open_source
from tests.ecg.archives import beats, write_csv
from tests.ecg.archives_public import dicom_group, write_dicom

SIGNAL = beats(3, rate=500)


def open_one(folder, *groups, row=None, **elements):
    """Write one file and its table, and read it."""
    write_dicom(folder / "x" / "1.2.840.7.dcm", list(groups), **elements)
    write_csv(folder / "labels.csv", [{"file": "x/1.2.840.7.dcm", "labels": "AF; NORM", **(row or {})}])
    return next(iter(open_source("dicom", folder)))


@pytest.mark.parametrize(("scheme", "unit"), [("MDC", "uV"), ("SCPECG", "mV"), ("99CART", "uV")])
def test_sensitivity_baseline_and_unit_are_applied(tmp_path, scheme, unit):
    record = open_one(tmp_path, dicom_group(LEADS, SIGNAL, scheme=scheme, unit=unit))
    np.testing.assert_allclose(record.signal_mv, SIGNAL, atol=0.7e-3)
    assert (record.record, record.patient, record.age, record.sex, record.device, record.sampling_rate) == (
        "1.2.840.7", "H-4711", 56.0, "F", "Cart 9", 500.0)
    assert record.labels == ("AF", "NORM") and record.source == "dicom" and record.flags == ()


def test_leads_in_any_order_and_others_between_them(tmp_path):
    names = ("V6", "X", *LEADS[:11])
    rows = np.stack([SIGNAL[11], SIGNAL[0] * 0, *SIGNAL[:11]])
    np.testing.assert_allclose(open_one(tmp_path, dicom_group(names, rows)).signal_mv, SIGNAL, atol=0.7e-3)


def test_eight_leads_give_twelve_and_say_so(tmp_path):
    eight = [0, 1, *range(6, 12)]
    record = open_one(tmp_path, dicom_group([LEADS[i] for i in eight], SIGNAL[eight]))
    np.testing.assert_allclose(record.signal_mv, SIGNAL, atol=2e-3)
    assert record.flags == ("derived_leads",)


def test_median_beats_are_left_out_and_groups_taken_at_once_are_joined(tmp_path):
    record = open_one(tmp_path, dicom_group(LEADS, SIGNAL[:, :600] * 2, originality="DERIVED"),
                      dicom_group(LEADS[:6], SIGNAL[:6]), dicom_group(LEADS[6:], SIGNAL[6:]))
    np.testing.assert_allclose(record.signal_mv, SIGNAL, atol=0.7e-3)


def test_leads_recorded_one_after_the_other_are_no_twelve(tmp_path):
    record = open_one(tmp_path, dicom_group(LEADS[:6], SIGNAL[:6]),
                      dicom_group(LEADS[6:], SIGNAL[6:], start_ms=10_000.0))
    assert isinstance(record, BadRecord) and record.reason == "wrong_leads"


def test_padding_is_missing(tmp_path):
    group = dicom_group(LEADS, SIGNAL)
    group.WaveformPaddingValue = (-32768).to_bytes(2, "little", signed=True)
    data = bytearray(group.WaveformData)
    data[24 * 100:24 * 100 + 2] = group.WaveformPaddingValue
    group.WaveformData = bytes(data)
    assert np.argwhere(np.isnan(open_one(tmp_path, group).signal_mv)).tolist() == [[0, 100]]


def test_the_table_has_the_last_word_on_a_person(tmp_path):
    record = open_one(tmp_path, dicom_group(LEADS, SIGNAL), row={"patient": "p9", "age": "30", "sex": "M", "fold": "4"})
    assert (record.patient, record.age, record.sex, record.fold) == ("p9", 30.0, "M", 4)


def other_unit(group):
    group.ChannelDefinitionSequence[3].ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"


def no_sensitivity(group):
    del group.ChannelDefinitionSequence[3].ChannelSensitivity


def companded(group):
    group.WaveformSampleInterpretation = "MB"


def short_data(group):
    group.WaveformData = group.WaveformData[:1000]


def slow(group):
    group.SamplingFrequency = 5


def nothing(group):
    group.WaveformOriginality = "DERIVED"


@pytest.mark.parametrize(("harm", "reason"), [
    (other_unit, "unit"), (no_sensitivity, "unit"), (companded, "unreadable_signal"),
    (short_data, "unreadable_signal"), (slow, "sampling_rate"), (nothing, "wrong_leads")])
def test_each_damage_has_its_reason(tmp_path, harm, reason):
    group = dicom_group(LEADS, SIGNAL)
    harm(group)
    record = open_one(tmp_path, group)
    assert isinstance(record, BadRecord) and record.reason == reason and "\n" not in record.detail


def test_files_that_are_no_dicom_or_not_there(tmp_path):
    record = open_one(tmp_path, dicom_group(LEADS, SIGNAL), PatientID="")
    assert record.reason == "no_patient"
    file = tmp_path / "x" / "1.2.840.7.dcm"
    file.write_bytes(file.read_bytes()[:900])
    assert next(iter(open_source("dicom", tmp_path))).reason in ("unreadable_signal", "no_patient")
    file.write_bytes(b"no DICOM")
    assert next(iter(open_source("dicom", tmp_path))).reason == "unreadable_signal"
    file.unlink()
    assert next(iter(open_source("dicom", tmp_path))).reason == "missing_file"


def test_a_good_file_beside_bad_ones_is_read(tmp_path):
    write_dicom(tmp_path / "a.dcm", [dicom_group(LEADS, SIGNAL)])
    (tmp_path / "b.dcm").write_bytes(b"\0" * 200)
    write_csv(tmp_path / "labels.csv", [{"file": f"{n}.dcm", "labels": "NORM"} for n in "ab"])
    good, bad = open_source("dicom", tmp_path)
    assert isinstance(good, RawRecord) and good.record == "a" and isinstance(bad, BadRecord)


@pytest.mark.parametrize(("text", "years"), [("056Y", 56.0), ("006M", 0.5), ("", None), ("old", None), ("Y", None)])
def test_age_strings(text, years):
    assert math.isnan(_age(text)) if years is None else _age(text) == years
