"""The key of the raw data: changed by whatever changes a file, and by nothing else."""

import os

import pytest

from components import lineage
from pipelines import identity
from pipelines.identity import data_identity


def test_whatever_lies_in_the_packages_changes_the_key_of_the_code(tmp_path, monkeypatch):
    for place in (lineage, identity):
        monkeypatch.setattr(place, "ROOT", tmp_path)
    monkeypatch.delenv("VIZECG_COMMIT", raising=False)
    for name in ("ecg/snomed.json", "model/losses.py", "ecg/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    keys = [identity.code_identity()]
    for name in ("ecg/__pycache__/a.pyc", "ecg/snomed.json", "model/losses.py"):
        (tmp_path / name).write_text("another")
        keys.append(identity.code_identity())
    assert keys[0] == keys[1] and len(set(keys)) == 3 and keys[0].startswith("unknown+")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "records").mkdir()
    for name in ("labels.csv", "records/a.dat"):
        (tmp_path / name).write_text("same")
    return tmp_path


@pytest.mark.parametrize("change", [
    lambda folder: (folder / "records" / "a.dat").write_text("other, longer"),
    lambda folder: os.utime(folder / "records" / "a.dat", ns=(1, 1)),
    lambda folder: (folder / "records" / "a.dat").rename(folder / "records" / "b.dat"),
    lambda folder: (folder / "records" / "b.dat").write_text(""),
    lambda folder: (folder / "labels.csv").unlink()])
def test_whatever_changes_a_file_changes_the_key(folder, change):
    before = data_identity(folder)
    assert before == data_identity(folder)
    change(folder)
    assert data_identity(folder) != before


def test_where_the_folder_lies_does_not_matter(folder):
    before = data_identity(folder)
    assert data_identity(folder.rename(folder.with_name("elsewhere"))) == before
