import math
import re

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg.leads import LEADS, lead_order
from ecg.quality import REASONS
from ecg.records import BadRecord, RawRecord
from ecg.sources.registry import open_source
from ecg.sources.wfdb_files import SignalError, decode_any, decode_plain, read_signal
from ecg.sources.wfdb_header import parse_header
from tests.ecg.archives import beats, folder_rows, write_csv, write_folder, write_ptbxl, write_record


def edit_header(path, pattern, replacement, count=1):
    header = path.with_name(path.name + ".hea")
    text, changed = re.subn(pattern, replacement, header.read_text(), count=count, flags=re.MULTILINE)
    assert changed
    header.write_text(text)


def edit_samples(path, change):
    file = path.with_name(path.name + ".dat")
    file.write_bytes(change(file.read_bytes()))


@pytest.fixture
def record(tmp_path):
    write_record(tmp_path / "r", beats(0))
    return tmp_path / "r"


@pytest.mark.parametrize("options", [
    {}, {"gain": 200.0}, {"gain": 4880.5}, {"rate": 500.0}, {"unit": "uV"}, {"names": [name.upper() for name in LEADS]},
    {"names": list(reversed(LEADS))},
])
def test_both_decoders_give_the_same_values_as_wfdb(tmp_path, options):
    path = tmp_path / "r"
    signal = beats(3, rate=options.get("rate", 100.0))
    signal[4, 10:20] = np.nan
    write_record(path, signal, **options)
    plain, general = decode_plain(str(path), parse_header(path.with_name("r.hea").read_text())), decode_any(path)
    for field in ("digital", "missing", "gains", "baselines"):
        np.testing.assert_array_equal(getattr(plain, field), getattr(general, field))
    assert (plain.names, plain.units, plain.checksums, plain.sampling_rate) == (
        general.names, general.units, general.checksums, general.sampling_rate)
    theirs = wfdb.rdrecord(str(path))
    scale = {"mV": 1.0, "uV": 1e-3}[options.get("unit", "mV")]
    expected = (theirs.p_signal * scale).T[lead_order(theirs.sig_name)].astype(np.float32)
    np.testing.assert_array_equal(read_signal(path).millivolt, expected)


@pytest.mark.parametrize("fmt", ["80"])
def test_other_formats_are_read_through_wfdb(tmp_path, fmt):
    signal = beats(1)
    signal[2, 5] = np.nan
    write_record(tmp_path / "r", signal, fmt=fmt, gain=50.0)
    assert parse_header((tmp_path / "r.hea").read_text()) is None
    read = read_signal(tmp_path / "r").millivolt
    assert np.isnan(read[2, 5]) and np.isnan(read).sum() == 1
    np.testing.assert_allclose(read[0], signal[0], atol=0.5 / 50 + 1e-6)


def test_leads_come_out_in_the_fixed_order(tmp_path):
    signal = np.arange(12)[:, None] * 0.1 + beats(0) * 0.01
    write_record(tmp_path / "r", signal[::-1], names=LEADS[::-1])
    np.testing.assert_allclose(read_signal(tmp_path / "r").millivolt, signal, atol=6e-4)


@pytest.mark.parametrize("fmt", ["16", "24"])
def test_one_changed_sample_breaks_the_checksum(tmp_path, fmt):
    path = tmp_path / "r"
    write_record(path, beats(0), fmt=fmt)
    edit_samples(path, lambda data: data[:600] + bytes([data[600] ^ 1]) + data[601:])
    with pytest.raises(SignalError, match="checksum: lead"):
        read_signal(path)


DAMAGES = {
    "header missing": ("missing_file", lambda p: p.with_name("r.hea").unlink()),
    "samples missing": ("missing_file", lambda p: p.with_name("r.dat").unlink()),
    "truncated": ("truncated", lambda p: edit_samples(p, lambda data: data[:-24])),
    "empty": ("truncated", lambda p: edit_samples(p, lambda data: b"")),
    "binary header": ("unreadable_header", lambda p: p.with_name("r.hea").write_bytes(b"\xff\xfe\x00\x81" * 20)),
    "empty header": ("unreadable_header", lambda p: p.with_name("r.hea").write_text("")),
    "prose header": ("unreadable_header", lambda p: p.with_name("r.hea").write_text("this is not a header\n")),
    "cut header": ("wrong_leads", lambda p: edit_header(p, r"^r\.dat .* V6\n", "")),
    "no lead names": ("unreadable_header", lambda p: edit_header(p, r" 16 0 -?\d+ -?\d+ 0 \S+$", "", count=0)),
    "another lead": ("wrong_leads", lambda p: edit_header(p, r"V6$", "V7")),
    "a lead twice": ("wrong_leads", lambda p: edit_header(p, r"V6$", "V5")),
    "slow": ("sampling_rate", lambda p: edit_header(p, r"^r 12 100", "r 12 10")),
    "zero rate": ("sampling_rate", lambda p: edit_header(p, r"^r 12 100", "r 12 0")),
    "pressure": ("unit", lambda p: edit_header(p, r"/mV", "/mmHg", count=0)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_has_its_reason(record, damage):
    reason, harm = DAMAGES[damage]
    harm(record)
    with pytest.raises(SignalError) as caught:
        read_signal(record)
    assert caught.value.reason == reason
    assert reason in REASONS and "\n" not in caught.value.detail


def test_eight_leads_are_the_wrong_leads(tmp_path):
    write_record(tmp_path / "r", beats(0)[:8], names=LEADS[:8])
    with pytest.raises(SignalError, match="wrong_leads"):
        read_signal(tmp_path / "r")


def test_a_truncated_file_of_another_format_is_told_as_such(tmp_path):
    write_record(tmp_path / "r", beats(0), fmt="24")
    edit_samples(tmp_path / "r", lambda data: data[:5000])
    with pytest.raises(SignalError, match="truncated: r.dat holds 5000 of 36000 bytes"):
        read_signal(tmp_path / "r")


def test_samples_that_a_header_only_claims_reserve_no_memory(record):
    edit_header(record, r"^r 12 100 1000", "r 12 100 999999999999")
    with pytest.raises(SignalError, match="truncated: r.dat holds 24000 of"):
        read_signal(record)


def test_a_header_may_not_name_files_elsewhere(record):
    edit_header(record, r"^r\.dat", "../r.dat", count=0)
    with pytest.raises(SignalError, match="unreadable_header"):
        read_signal(record)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_damage_to_a_header_gives_anything_but_a_signal_or_a_reason(record, data):
    header = record.with_name("r.hea")
    whole = header.read_text()
    text = whole
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        new = data.draw(st.text("0123456789 -./()\nrV+:,~#xe\xb5", max_size=3) | st.just("9999999999"))
        text = text[:at] + new + text[at + data.draw(st.integers(0, 20)):]
    try:
        header.write_text(text)
        assert read_signal(record).millivolt.shape[0] == 12
    except SignalError as error:
        assert error.reason in REASONS and "\n" not in error.detail
    finally:
        header.write_text(whole)


def test_folder_gives_every_column(tmp_path):
    rows = folder_rows(3)
    rows[1] |= {"age": "", "sex": "", "device": "", "labels": "NORM; AFIB;", "fold": ""}
    source = open_source("wfdb_folder", write_folder(tmp_path, rows))
    first, second, _ = source
    assert isinstance(first, RawRecord) and len(source) == 3
    assert (first.record, first.patient, first.age, first.sex, first.device, first.fold, first.labels) == (
        "r000", "p0", 40.0, "F", "cart", 1, ("NORM",))
    assert math.isnan(second.age) and (second.sex, second.device, second.fold) == ("", "", 0)
    assert second.labels == ("AFIB", "NORM") == source.label_names
    np.testing.assert_allclose(first.signal_mv, beats(0), atol=6e-4)
    assert first.signal_mv.dtype == np.float32 and first.sampling_rate == 100


def test_folder_needs_only_three_columns(tmp_path):
    rows = [{"record": "a", "patient": "p", "labels": ""}, {"record": "b", "patient": "q", "labels": "X"}]
    first, second = open_source("wfdb_folder", write_folder(tmp_path, rows))
    assert first.labels == () and second.labels == ("X",)


def test_folder_counts_labels_that_are_not_kept(tmp_path):
    source = open_source("wfdb_folder", write_folder(tmp_path, folder_rows(20, labels="AFIB;FLUTTER")),
                         labels=("NORM", "AFIB"))
    assert source.label_names == ("NORM", "AFIB") and source.unknown_labels == {"FLUTTER": 20}


def test_records_are_named_after_their_files_unless_two_share_a_name(tmp_path):
    rows = [{"record": name, "patient": name, "labels": "X"} for name in ("a/1", "a/2")]
    assert [r.record for r in open_source("wfdb_folder", write_folder(tmp_path / "x", rows))] == ["1", "2"]
    rows.append({"record": "b/1", "patient": "b", "labels": "X"})
    assert [r.record for r in open_source("wfdb_folder", write_folder(tmp_path / "y", rows))] == ["a_1", "a_2", "b_1"]


@pytest.mark.parametrize(("change", "reason"), [
    ({"record": "../r001"}, "outside_folder"), ({"record": "/etc/passwd"}, "outside_folder"),
    ({"patient": " "}, "no_patient"), ({"age": "old"}, "unreadable_row"), ({"sex": "X"}, "unreadable_row"),
    ({"fold": "one"}, "unreadable_row"), ({"fold": "-1"}, "unreadable_row"), ({"fold": "1.5"}, "unreadable_row"),
    ({"fold": "inf"}, "unreadable_row"),
])
def test_a_bad_row_is_a_bad_record_and_the_others_are_read(tmp_path, change, reason):
    rows = folder_rows(3)
    write_folder(tmp_path, rows)
    rows[1] |= change
    write_csv(tmp_path / "labels.csv", rows)
    first, second, third = open_source("wfdb_folder", tmp_path)
    assert isinstance(second, BadRecord) and second.reason == reason and reason in REASONS
    assert isinstance(first, RawRecord) and isinstance(third, RawRecord)


def test_folder_refuses_a_repeated_record_and_labels_that_never_occur(tmp_path):
    rows = folder_rows(2)
    write_folder(tmp_path, rows)
    with pytest.raises(ValueError, match="none of ingest.labels .TYPO. occurs; it has NORM"):
        open_source("wfdb_folder", tmp_path, labels=("TYPO",))
    write_folder(tmp_path, [*rows, rows[0]])
    with pytest.raises(ValueError, match="'r000' stands there twice"):
        open_source("wfdb_folder", tmp_path)


def test_simulated_is_a_folder_under_its_own_name(archive):
    source = open_source("simulated", archive)
    assert len(source) == 60 and next(iter(source)).source == "simulated"
    assert "AFIB" in source.label_names and not source.unknown_labels


def test_unknown_source_and_missing_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="ingest.source: unknown source 'ptbxxl'; there are simulated"):
        open_source("ptbxxl", tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        open_source("ptbxl", tmp_path / "nowhere")


def codes(*names):
    return {"scp_codes": str(dict.fromkeys(names, 0.0))}


@pytest.mark.parametrize("rate", [100, 500])
def test_ptbxl_gives_official_folds_patients_and_superclasses(tmp_path, rate):
    rows = [codes("NORM", "SR"), codes("IMI", "LVH") | {"sex": "1", "age": "300.0", "strat_fold": 10},
            codes("SR"), codes("CRBBB") | {"sex": "", "age": "", "device": ""}]
    source = open_source("ptbxl", write_ptbxl(tmp_path, rows, rate=rate), rate=rate)
    first, second, fourth = source
    assert source.label_names == ("NORM", "MI", "STTC", "CD", "HYP") and source.unlabelled == 1
    assert (first.record, first.patient, first.age, first.sex, first.device, first.fold, first.labels, first.flags) == (
        "00001", "1001", 56.0, "M", "CS-12 E", 2, ("NORM",), ())
    assert (second.age, second.sex, second.fold, second.labels, second.flags) == (
        90.0, "F", 10, ("MI", "HYP"), ("age_over_89",))
    assert math.isnan(fourth.age) and fourth.sex == "" and fourth.device == ""
    assert first.sampling_rate == rate and first.signal_mv.shape == (12, 10 * rate)


def test_ptbxl_counts_unknown_statements_and_superclasses_that_are_not_kept(tmp_path):
    folder = write_ptbxl(tmp_path, [codes("NORM", "NEW"), codes("IMI"), codes("LVH", "CRBBB")])
    source = open_source("ptbxl", folder, labels=("CD", "MI"))
    assert [r.labels for r in source] == [(), ("MI",), ("CD",)]
    assert source.unknown_labels == {"HYP": 1, "NEW": 1, "NORM": 1} and source.unlabelled == 0


def test_ptbxl_sets_bad_rows_aside(tmp_path):
    folder = write_ptbxl(tmp_path, [codes("NORM"), {"scp_codes": "NORM"}, codes("IMI") | {"patient_id": ""},
                                    codes("IMI") | {"strat_fold": "x"}, codes("LVH") | {"patient_id": "nan"},
                                    codes("IMI") | {"strat_fold": "inf"}])
    found = [r.reason if isinstance(r, BadRecord) else "" for r in open_source("ptbxl", folder)]
    assert found == ["", "unreadable_row", "no_patient", "unreadable_row", "unreadable_row", "unreadable_row"]


def test_ptbxl_refuses_an_unknown_superclass_and_a_missing_table(tmp_path):
    folder = write_ptbxl(tmp_path, [codes("NORM")])
    with pytest.raises(ValueError, match="'AFIB' is no superclass"):
        open_source("ptbxl", folder, labels=("AFIB",))
    (folder / "scp_statements.csv").unlink()
    with pytest.raises(ValueError, match="scp_statements.csv: no such file"):
        open_source("ptbxl", folder)
