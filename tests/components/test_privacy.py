"""What must not enter a record store does not: names, paths, free text, the salt."""

import re

import pandas as pd
import pytest

from components.cli import main
from components.ingest.privacy import MIN_SALT, pseudonym
from components.ingest.step import run
from ecg.leads import LEADS
from ecg.records import RecordStore
from model.params import SALT_VARIABLE, IngestParams
from tests.ecg.archives import beats, folder_rows, write_csv, write_folder, write_ptbxl
from tests.ecg.archives_public import dicom_group, write_dicom

SALT = "correct horse battery staple"
REPORT = "Sinusrhythmus bei Frau Muster"


def contents(folder) -> bytes:
    """All bytes below a folder, its files' names and what parquet unpacks to among them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    tables = [pd.read_parquet(path).to_csv() for path in files if path.suffix == ".parquet"]
    return b"".join([*(path.read_bytes() for path in files), *(path.name.encode() for path in files),
                     "".join(tables).encode()])


@pytest.fixture
def people(tmp_path):
    """Twenty records of ten patients with telling names; one record is damaged, one row unreadable."""
    rows = [row | {"record": f"Muster-{i:02d}", "patient": f"Erika{i // 2}", "fold": 0, "report": REPORT,
                   "device": "cart"} for i, row in enumerate(folder_rows(20))]
    data = write_folder(tmp_path / "data", rows)
    (data / "Muster-03.dat").write_bytes(b"short")
    rows[5]["age"] = "Erika was 50"
    write_csv(data / "labels.csv", rows)
    return data


def ingest(data, out, *, salt="", **changes):
    return run(data=data, records=out, params=IngestParams(source="wfdb_folder", max_quarantined=0.5, **changes),
               seed=1, salt=salt)


def test_pseudonyms_keep_patients_together_and_names_out(people, tmp_path):
    plain, hidden = ingest(people, tmp_path / "plain"), ingest(people, tmp_path / "hidden", hash_ids=True, salt=SALT)
    assert re.search(b"Muster|Erika", contents(tmp_path / "plain"))
    assert not re.search(b"Muster|Erika|horse", contents(tmp_path / "hidden"))
    first, second = (RecordStore.open(tmp_path / name).table for name in ("plain", "hidden"))
    assert (hidden.splits, hidden.patients, hidden.reasons) == (plain.splits, plain.patients, plain.reasons)
    named = {pseudonym(row["patient"], kind="patient", salt=SALT): row["fold"] for _, row in first.iterrows()}
    assert dict(zip(second["patient"], second["fold"], strict=True)) == named
    assert set(second["record"]) == {pseudonym(name, kind="record", salt=SALT) for name in first["record"]}
    assert second["record"].is_monotonic_increasing
    bad = pd.read_parquet(tmp_path / "hidden" / "quarantine.parquet")
    assert set(bad["record"]) == {pseudonym(f"Muster-0{n}", kind="record", salt=SALT) for n in (3, 5)}


def test_another_salt_gives_other_pseudonyms_and_the_same_salt_the_same(people, tmp_path):
    digests = [ingest(people, tmp_path / f"s{i}", hash_ids=True, salt=salt).digest
               for i, salt in enumerate((SALT, SALT, SALT + "!"))]
    assert digests[0] == digests[1] != digests[2]
    assert pseudonym("a", kind="record", salt=SALT) != pseudonym("a", kind="patient", salt=SALT)


@pytest.mark.parametrize("salt", ["", "x" * (MIN_SALT - 1)])
def test_a_missing_or_short_salt_is_refused_and_never_shown(people, tmp_path, salt):
    with pytest.raises(ValueError, match="ingest.hash_ids: .* set VIZECG_ID_SALT in the environment") as caught:
        ingest(people, tmp_path / "s", hash_ids=True, salt=salt)
    assert not (tmp_path / "s").exists() and (not salt or salt not in str(caught.value))


def test_a_refusal_names_pseudonyms_alone(people, tmp_path):
    rows = folder_rows(4, patient="Erika", report="")
    data = write_folder(tmp_path / "leaky", rows)
    with pytest.raises(ValueError, match="is in fold") as caught:
        run(data=data, records=tmp_path / "s", params=IngestParams(
            source="wfdb_folder", hash_ids=True, train_folds=(1, 3), validate_folds=(2,), test_folds=(4,)), seed=1,
            salt=SALT)
    assert "Erika" not in str(caught.value) and not re.search(r"\br\d{3}\b", str(caught.value))


def test_the_command_takes_the_salt_from_the_environment_and_prints_no_name(people, tmp_path, monkeypatch, capfd):
    command = ["ingest", "--source", "wfdb_folder", "--data", str(people), "--out", str(tmp_path / "s"),
               "--set", "ingest.hash_ids=true", "--set", "ingest.max_quarantined=0.5"]
    monkeypatch.delenv(SALT_VARIABLE, raising=False)
    assert main(command) == 2
    assert "VIZECG_ID_SALT" in capfd.readouterr().err
    monkeypatch.setenv(SALT_VARIABLE, SALT)
    assert main(command) == 0
    said = "".join(capfd.readouterr())
    assert not re.search("Muster|Erika|horse", said) and not re.search(b"horse", contents(tmp_path / "s"))


def test_reports_stay_out_unless_they_are_asked_for(people, tmp_path):
    ingest(people, tmp_path / "without")
    ingest(people, tmp_path / "with", reports=True)
    assert REPORT.encode() not in contents(tmp_path / "without")
    table = pd.read_parquet(tmp_path / "with" / "reports.parquet")
    assert set(table["report"]) == {REPORT}
    assert table["record"].tolist() == RecordStore.open(tmp_path / "with").table["record"].tolist()


def test_ptbxls_other_columns_stay_out(tmp_path, monkeypatch):
    rows = [{"scp_codes": "{'NORM': 100.0}"} for _ in range(3)]
    data = write_ptbxl(tmp_path / "data", rows)
    table = pd.read_csv(data / "ptbxl_database.csv")
    table.assign(report=REPORT, nurse="nurse seven", recording_date="1984-11-09").to_csv(
        data / "ptbxl_database.csv", index=False)
    for reports in (False, True):
        run(data=data, records=tmp_path / "s", params=IngestParams(source="ptbxl", reports=reports), seed=1)
        found = contents(tmp_path / "s")
        assert (REPORT.encode() in found) is reports and not re.search(b"nurse seven|1984-11-09", found)


def test_a_dicom_files_name_birth_date_and_uid_stay_out(tmp_path):
    data = tmp_path / "data"
    for i in range(3):
        write_dicom(data / f"f{i}.dcm", [dicom_group(LEADS, beats(i, rate=500))], PatientID=f"H{i}")
    write_csv(data / "labels.csv", [{"file": f"f{i}.dcm", "labels": "NORM"} for i in range(3)])
    run(data=data, records=tmp_path / "s", params=IngestParams(source="dicom"), seed=1)
    assert not re.search(b"Muster|Erika|19640812|1\\.2\\.826", contents(tmp_path / "s"))
