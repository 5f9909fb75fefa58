"""The key of the raw data: changed by whatever changes a file, and by nothing else."""

import os

import pytest

from pipelines.identity import data_identity


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
