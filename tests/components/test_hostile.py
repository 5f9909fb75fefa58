"""A few hostile files of each kind, from a fixed seed; `vizecg bench hostile` tries thousands."""

import pytest

from benchmarks.hostile import KINDS, SECONDS, in_process, judge, large, templates
from model.file_reading import FileReading


@pytest.mark.slow
def test_hostile_files_are_read_or_refused_with_a_reason(packaged):
    ends, faults, growth = in_process(packaged.package, count=60, seed=7)
    assert not faults and {kind for kind, _ in ends} == set(KINDS) and growth < 1500
    assert sum(count for (kind, end), count in ends.items() if end == "refused") > 20


def test_the_undamaged_templates_are_read(packaged):
    reading = FileReading.open(packaged.package)
    made = templates((packaged.package / "sample.png").read_bytes())
    ends = {kind: judge(reading, data) for kind, data in made.items()}
    kinds = {end for end, _ in ends.values()}
    assert kinds <= {"read", "refused"} and "read" in kinds, ends


def test_a_fault_would_be_noticed(packaged):
    class Broken(FileReading):
        def read(self, data, *, explain=False):
            raise {b"a": KeyError("x"), b"b": ValueError("two\nlines"), b"c": ValueError("")}[data]

    broken = Broken(FileReading.open(packaged.package).reading)
    assert [judge(broken, data)[0] for data in (b"a", b"b", b"c")] == ["crash", "no reason", "no reason"]
    assert SECONDS > 60 and large in [make for make, _ in KINDS.values()]
