"""CinC, CODE-15 and SPH in the form in which they are published."""

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from ecg.quality import REASONS
from ecg.records import BadRecord, RawRecord
from ecg.snomed import CPSC2018, snomed_scheme, tables
from ecg.sources.cinc import SETS, member_set
from ecg.sources.code15 import trimmed
from ecg.sources.registry import open_source
from ecg.sources.sph import parse_aha
from tests.ecg.archives import beats
from tests.ecg.archives_public import write_cinc, write_code15, write_sph

REAL = Path("/work/shared/data/cinc2021")


def test_the_scored_set_has_the_26_classes_of_the_challenge():
    scheme = snomed_scheme("scored")
    assert len(scheme.names) == len(set(scheme.names)) == 26 and len(tables()["scored"]) == 30
    assert {"RBBB", "LBBB", "PAC", "PVC"} <= set(scheme.names)
    assert not {"CRBBB", "CLBBB", "SVPB", "VPB"} & set(scheme.names)


@pytest.mark.parametrize(("first", "second", "finding"), [
    ("713427006", "59118001", "RBBB"), ("284470004", "63593006", "PAC"), ("427172004", "17338001", "PVC"),
    ("733534002", "164909002", "LBBB")])
@pytest.mark.parametrize("label_set", ["scored", "cpsc2018", "all"])
def test_equivalent_codes_are_one_finding(first, second, finding, label_set):
    scheme = snomed_scheme(label_set)
    assert scheme.apply([first]) == scheme.apply([second]) == scheme.apply([first, second]) == (finding,)


def test_the_other_sets_and_what_they_do_not_score():
    nine = snomed_scheme("cpsc2018")
    assert nine.names == ("NSR", "AF", "IAVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")
    assert set(CPSC2018) <= nine.findings.keys() and nine.apply(["164884008", "164890007"]) == ("PVC",)
    assert len(snomed_scheme("all").names) == 133 - 4
    scored = snomed_scheme("scored")
    assert scored.apply(["429622005"]) == () and not scored.unknown(["429622005"]) and scored.unknown(["1"])


@pytest.mark.parametrize(("path", "name"), [
    ("training/cpsc_2018/g1/A0001", "cpsc_2018"), ("x/A0001", "cpsc_2018"), ("x/Q0001", "cpsc_2018_extra"),
    ("x/I0001", "st_petersburg_incart"), ("x/S0001", "ptb"), ("x/HR00001", "ptb-xl"), ("x/E00001", "georgia"),
    ("x/JS10646", "chapman_shaoxing"), ("x/JS10647", "ningbo"), ("training/ningbo/g3/JS00001", "ningbo"),
    ("x/r1", ""), ("x/Z0001", "")])
def test_a_records_set_is_known_by_its_folder_or_its_name(path, name):
    assert member_set(Path(path)) == name and (not name or name in SETS)


@pytest.fixture
def cinc(tmp_path):
    """One record of each member set, in the challenges' folders, and two flat ones."""
    folder = tmp_path / "training"
    for number, (member, letters) in enumerate(SETS.items()):
        write_cinc(folder / member / "g1", f"{letters}{20000 if member == 'ningbo' else number + 1:05d}",
                   "164889003,59118001", rate={"ptb": 1000, "st_petersburg_incart": 257}.get(member, 500), seed=number)
    write_cinc(folder, "E09998", "713427006,429622005,999", age="NaN", sex="Unknown")
    write_cinc(folder, "E09999", "", age="300")
    return folder


def test_all_member_sets_are_read(cinc):
    source = open_source("cinc", cinc)
    records = list(source)
    assert all(isinstance(record, RawRecord) for record in records) and len(records) == 9 and source.unlabelled == 1
    assert {r.source for r in records} == {f"cinc:{name}" for name in SETS}
    assert {r.labels for r in records} == {("AF", "RBBB"), ("RBBB",)} and source.unknown_labels == {"999": 1}
    assert len(source.label_names) == 26
    by_name = {r.record: r for r in records}
    assert (by_name["S00004"].sampling_rate, by_name["I00003"].sampling_rate) == (1000, 257)
    other = by_name["E09998"]
    assert math.isnan(other.age) and other.sex == "" and other.patient == "E09998"
    assert (by_name["A00001"].age, by_name["A00001"].sex) == (56.0, "F")
    np.testing.assert_allclose(by_name["A00001"].signal_mv, beats(0, rate=500), atol=6e-4)


def test_the_written_form_is_one_that_wfdb_reads_alike(cinc):
    path = cinc / "georgia" / "g1" / "E00006"
    theirs = wfdb.rdrecord(str(path)).p_signal.T
    ours = next(r for r in open_source("cinc", cinc) if r.record == "E00006")
    np.testing.assert_array_equal(ours.signal_mv, theirs.astype(np.float32))


def test_a_record_that_is_called_after_its_file_is_read_too(tmp_path):
    write_cinc(tmp_path, "E00007", "164889003", seed=7, called="E00007.mat")
    record, = open_source("cinc", tmp_path)
    np.testing.assert_allclose(record.signal_mv, beats(7, rate=500), atol=6e-4)


def test_label_sets_of_cinc_and_kept_labels(cinc):
    everything = open_source("cinc", cinc, label_set="all")
    assert everything.label_names == ("AF", "RBBB", "STD") and everything.unknown_labels == {"999": 1}
    assert len(open_source("cinc", cinc, label_set="cpsc2018").label_names) == 9
    kept = open_source("cinc", cinc, labels=("RBBB",))
    assert kept.label_names == ("RBBB",) and kept.unknown_labels == {"999": 1, "AF": 8}
    with pytest.raises(ValueError, match="'CRBBB' is no finding of the set 'scored'"):
        open_source("cinc", cinc, labels=("CRBBB",))
    with pytest.raises(ValueError, match="'superclass' is none of the source cinc, which has scored, cpsc2018, all"):
        open_source("cinc", cinc, label_set="superclass")


def test_patients_of_cinc_come_from_a_table_if_there_is_one(cinc):
    (cinc / "patients.csv").write_text("record,patient,fold\nE09998,p1,3\nA00001,p1,\nQ00002,,\n")
    found = {e.record: e for e in open_source("cinc", cinc).entries}
    assert (found["E09998"].patient, found["E09998"].fold, found["A00001"].patient) == ("p1", 3, "p1")
    assert isinstance(found["Q00002"], BadRecord) and found["S00004"].patient == "S00004"


def test_damaged_records_of_cinc_have_reasons(cinc):
    harmed = cinc / "georgia" / "g1" / "E00006"
    harmed.with_suffix(".mat").write_bytes(harmed.with_suffix(".mat").read_bytes()[:3000])
    (cinc / "E09998.hea").write_bytes(b"\xff\xfe\x00")
    bad = {r.record: r for r in open_source("cinc", cinc) if isinstance(r, BadRecord)}
    assert bad.keys() == {"E00006", "E09998"} and {b.reason for b in bad.values()} <= set(REASONS)
    (cinc / "empty").mkdir()
    with pytest.raises(ValueError, match="no \\*.hea below it"):
        open_source("cinc", cinc / "empty")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real records are not here")
def test_real_records_of_cinc_are_read():
    source = open_source("cinc", REAL)
    records = list(source)
    assert len(records) == 64 and not [r for r in records if isinstance(r, BadRecord)]
    assert {r.source for r in records} == {f"cinc:{name}" for name in
                                           ("cpsc_2018", "georgia", "ptb-xl", "chapman_shaoxing", "ningbo")}
    assert not [code for code in source.unknown_labels if code.isdecimal()]


@pytest.fixture
def code15(tmp_path):
    return write_code15(tmp_path, {"exams_part0.hdf5": [11, 12, 13], "exams_part1.hdf5": [24, 25]})


def test_exams_of_code15_come_without_their_zeros(code15):
    source = open_source("code15", code15)
    records = {r.record: r for r in source}
    assert source.label_names == ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF") and len(records) == 5
    assert {name: r.signal_mv.shape for name, r in records.items()} == {
        "11": (12, 2800), "12": (12, 4000), "13": (12, 2800), "24": (12, 4000), "25": (12, 2800)}
    np.testing.assert_array_equal(records["24"].signal_mv, (beats(24, rate=400) + 0.01).astype(np.float32))
    assert (records["12"].labels, records["13"].labels) == (("RBBB",), ("AF",))
    assert (records["12"].patient, records["13"].patient, records["12"].sex, records["13"].sex) == ("6", "6", "M", "F")
    assert records["12"].sampling_rate == 400 and records["12"].signal_mv.dtype == np.float32


def test_parts_that_are_not_there_are_left_out_and_counted(tmp_path):
    folder = write_code15(tmp_path, {"exams_part0.hdf5": [1, 2], "exams_part1.hdf5": [3, 4, 5]},
                          unwritten=("exams_part1.hdf5",))
    source = open_source("code15", folder)
    assert [r.record for r in source] == ["1", "2"] and source.absent == {"exams_part1.hdf5": 3}
    (folder / "exams_part0.hdf5").unlink()
    with pytest.raises(ValueError, match="none of the parts that exams.csv names is there"):
        open_source("code15", folder)


def test_damaged_exams_have_reasons(code15):
    with h5py.File(code15 / "exams_part0.hdf5", "r+") as file:
        file["exam_id"][1] = 99
        file["tracings"][2] = 0
    (code15 / "exams_part1.hdf5").write_bytes(b"no HDF5 at all")
    found = {r.record: r.reason for r in open_source("code15", code15) if isinstance(r, BadRecord)}
    assert found == {"12": "missing_file", "13": "flat", "24": "unreadable_signal", "25": "unreadable_signal"}


def test_a_dataset_that_lies_in_another_file_is_not_followed(code15, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["tracings"] = np.ones((4, 4096, 12), np.float32)
    with h5py.File(code15 / "exams_part0.hdf5", "r+") as file:
        del file["tracings"]
        file["tracings"] = h5py.ExternalLink(str(secret), "tracings")
    found = [r for r in open_source("code15", code15) if r.record in ("11", "12", "13")]
    assert {r.reason for r in found} == {"unreadable_signal"}


@given(st.integers(1, 4095), st.integers(0, 4094), st.integers(1, 12))
def test_only_the_zeros_around_an_exam_are_cut(length, begin, lead):
    begin = min(begin, 4096 - length)
    values = np.zeros((4096, 12), np.float32)
    values[[begin, begin + length - 1], lead - 1] = 1.0
    np.testing.assert_array_equal(trimmed(values), values[begin:begin + length])


def test_sph_keeps_primary_statements_and_counts_modifiers(tmp_path):
    folder = write_sph(tmp_path, ["1", "22;60+310+346", "106", "60+310;777", ""])
    source = open_source("sph", folder)
    records = list(source)
    assert [r.labels for r in records] == [
        ("Normal ECG",), ("Sinus bradycardia", "Ventricular premature complex(es)"), ("Right bundle-branch block",),
        ("Ventricular premature complex(es)",)]
    assert source.unknown_labels == {"+310": 2, "+346": 1, "777": 1} and source.unlabelled == 1
    assert source.label_names == ("Normal ECG", "Sinus bradycardia", "Ventricular premature complex(es)",
                                  "Right bundle-branch block")
    assert [r.patient for r in records] == ["S00001", "S00001", "S00002", "S00002"]
    assert (records[0].sampling_rate, records[0].age, records[0].sex) == (500, 55.0, "M")
    np.testing.assert_allclose(records[0].signal_mv, beats(1, rate=500), atol=2e-3)


def test_damaged_records_of_sph_have_reasons(tmp_path):
    folder = write_sph(tmp_path, ["1"] * 4)
    (folder / "records" / "A00001.h5").unlink()
    (folder / "records" / "A00002.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    with h5py.File(folder / "records" / "A00003.h5", "w") as file:
        file["ecg"] = np.zeros((8, 5000), np.float16)
    with h5py.File(folder / "records" / "A00004.h5", "w") as file:
        file["ecg"] = np.array([b"text"] * 12)
    assert [r.reason for r in open_source("sph", folder)] == ["missing_file", "unreadable_signal", "wrong_leads",
                                                              "unreadable_signal"]


@given(st.lists(st.tuples(st.integers(1, 199), st.lists(st.integers(300, 399), max_size=3)), min_size=1))
def test_aha_cells_are_read_back(statements):
    cell = ";".join("+".join(map(str, (code, *modifiers))) for code, modifiers in statements)
    assert parse_aha(cell) == ([str(code) for code, _ in statements],
                               [f"+{m}" for _, modifiers in statements for m in modifiers])
