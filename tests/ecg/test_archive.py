"""The simulated archive: its files, its folds, the verb that writes it, and the copy that data.dvc pins."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from components.simulate import run
from ecg.leads import LEADS
from ecg.records import RecordStore
from ecg.sources.simulated import simulate, write_archive, write_labels, write_record
from ecg.sources.simulator.cohort import FINDINGS, plan

ROOT = Path(__file__).parents[2]


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    def content(folder: Path) -> dict[str, bytes]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_archive(tmp_path / name, records=4, seed=seed)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a")["records/00001.dat"] != content(tmp_path / "c")["records/00001.dat"]
    write_archive(tmp_path / "c", records=4, seed=5)
    assert content(tmp_path / "a") == content(tmp_path / "c"), "an archive may be made anew in its place"


def test_wfdb_reads_it_back(archive):
    header = wfdb.rdheader(str(archive / "records/00001"))
    record = wfdb.rdrecord(str(archive / "records/00001"), physical=False)
    assert (header.fs, header.sig_len, header.sig_name, header.fmt) == (100, 1000, list(LEADS), ["16"] * 12)
    assert header.units == ["mV"] * 12 and header.adc_gain == [200.0] * 12
    assert record.calc_checksum() == header.checksum
    assert header.comments[0].startswith("Age: ") and header.comments[1] in ("Sex: Female", "Sex: Male")
    assert np.array_equal(record.d_signal.T, simulate(plan(records=60, seed=1)[0], seed=1))


def test_labels_csv(archive):
    with open(archive / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["record", "patient", "age", "sex", "device", "fold", "labels"]
    assert [row["record"] for row in rows] == [f"records/{i:05d}" for i in range(1, 61)]
    for row in rows:
        labels = row["labels"].split(";")
        assert set(labels) <= set(FINDINGS) and row["sex"] in ("F", "M") and 18 <= int(row["age"]) <= 92
        assert labels == ["NORM"] or "NORM" not in labels
        assert not {"AFIB", "1AVB"} <= set(labels) and not {"CLBBB", "CRBBB"} <= set(labels)


@pytest.mark.parametrize("seed", [1, 2, 20240805])
def test_folds_keep_patients_whole_and_findings_even(seed):
    visits = plan(records=600, seed=seed)
    folds = {}
    for visit in visits:
        folds.setdefault(visit.patient.name, set()).add(visit.fold)
    assert all(len(found) == 1 for found in folds.values())
    assert len(folds) < 450, "some patients come back"
    for finding in FINDINGS:
        held = Counter(visit.fold for visit in visits if finding in visit.findings)
        assert sum(held.values()) >= 60 and min(held[fold] for fold in range(1, 11)) >= 5, finding
    assert all(54 <= count <= 66 for count in Counter(visit.fold for visit in visits).values())


def test_the_store_takes_the_whole_archive(store: RecordStore):
    assert len(store) == 60 and set(store.label_names) == set(FINDINGS)


def test_the_verb_reports_what_it_wrote(tmp_path):
    result = run(out=tmp_path / "out", records=12, seed=2)
    assert result.records == 12 == len(list((tmp_path / "out/records").glob("*.dat")))
    assert result.patients <= 12 and result.findings.startswith("NORM ")


@pytest.mark.parametrize(("records", "seed", "message"), [(0, 1, "records: 0"), (3, -1, "seed: -1")])
def test_bad_numbers_are_refused(tmp_path, records, seed, message):
    with pytest.raises(ValueError, match=message):
        write_archive(tmp_path / "out", records=records, seed=seed)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="no simulated archive"):
        write_archive(tmp_path, records=1, seed=1)
    with pytest.raises(ValueError, match="is a file"):
        write_archive(tmp_path / "thesis.tex", records=1, seed=1)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def pinned() -> dict[str, str]:
    """MD5 by path of every file that data.dvc pins, from the listing in the remote."""
    digest = next(line.split(":")[1].strip() for line in (ROOT / "data.dvc").read_text().splitlines() if "md5:" in line)
    listing = ROOT / "data-remote/files/md5" / digest[:2] / digest[2:]
    assert hashlib.md5(listing.read_bytes()).hexdigest() + ".dir" == digest
    return {row["relpath"]: row["md5"] for row in json.loads(listing.read_text())}


def pinned_settings(files: dict[str, str]) -> dict:
    digest = files["simulated/simulation.json"]
    return json.loads((ROOT / "data-remote/files/md5" / digest[:2] / digest[2:]).read_text())


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_the_pinned_data_is_what_the_simulator_writes(tmp_path):
    files = pinned()
    settings = pinned_settings(files)
    visits = plan(records=settings["records"], seed=settings["seed"])
    write_labels(tmp_path / "labels.csv", visits)
    assert md5(tmp_path / "labels.csv") == files["simulated/labels.csv"]
    assert len(files) == 2 * len(visits) + 2
    for visit in visits[::61]:
        write_record(tmp_path, visit, seed=settings["seed"])
        for suffix in ("hea", "dat"):
            name = f"{visit.number:05d}.{suffix}"
            assert md5(tmp_path / name) == files[f"simulated/records/{name}"]


@pytest.mark.slow
def test_every_pinned_byte_is_reproducible(tmp_path):
    files = pinned()
    settings = pinned_settings(files)
    write_archive(tmp_path / "simulated", records=settings["records"], seed=settings["seed"])
    made = {str(path.relative_to(tmp_path)): md5(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == files
