"""A few hundred damaged archives; `python -m benchmarks.fuzz --count 10000` has the rest."""

import numpy as np
import pytest

from benchmarks.fuzz import fuzz, judge
from benchmarks.fuzz_archives import TEMPLATES, write_template


@pytest.mark.parametrize("source", sorted(TEMPLATES))
def test_no_damage_crashes_hangs_or_is_read_wrongly(tmp_path, source):
    verdicts, records, faults = fuzz(source, write_template(tmp_path / "t", source), count=120, seed=1)
    assert not faults and set(verdicts) <= {"read", "refused"}
    assert records["read"] > 30 and len(records) > 3


LONG = [("wfdb_folder", "labels.csv", "r0"), ("wfdb_folder", "r0.hea", "r0.dat"), ("sph", "metadata.csv", "A0"),
        ("code15", "exams.csv", "exams_part0.hdf5")]


@pytest.mark.parametrize(("source", "table", "name"), LONG)
def test_a_name_too_long_for_any_file_is_a_file_that_is_not_there(tmp_path, source, table, name):
    folder = write_template(tmp_path / "t", source)
    text = (folder / table).read_text()
    assert name in text
    (folder / table).write_text(text.replace(name, "x" * 5000, 1))  # of a header one line alone: wfdb reads it
    verdict = judge(source, folder, {table}, {})
    assert verdict.kind == "read"
    assert verdict.records["missing_file"] + verdict.records["unreadable_header"] == 1 or source == "code15"


def test_a_wrong_signal_would_be_noticed(tmp_path):
    folder = write_template(tmp_path / "t", "wfdb_folder")
    assert judge("wfdb_folder", folder, set(), {"r0 0": np.zeros((12, 300), np.float32)}).kind == "wrong"
    assert judge("wfdb_folder", folder, set(), {}).kind == "read"
