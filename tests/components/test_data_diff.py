"""Two stores compared: every kind of difference is found, and nothing else."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from components.cli import main
from components.data_diff import diff, lines


@pytest.fixture
def other(store_path, tmp_path):
    return shutil.copytree(store_path, tmp_path / "other")


def change(store, edit):
    table = pd.read_parquet(store / "records.parquet")
    signals = np.load(store / "signals.npy")
    table, signals = edit(table, signals)
    table.to_parquet(store / "records.parquet", index=False)
    np.save(store / "signals.npy", signals)


def test_a_store_equals_itself_whatever_the_order(store_path, other):
    assert diff(store_path, other)["equal"]
    change(other, lambda t, s: (t[::-1], s[::-1]))
    found = diff(store_path, other)
    assert found["equal"] and lines(found)[0] == "equal: 60 records, the same signals, labels and fields"


def test_every_kind_of_difference(store_path, other, tmp_path, capsys):
    before = pd.read_parquet(store_path / "records.parquet")
    names = before["record"].tolist()

    def edit(table, signals):
        signals = signals.copy()
        signals[3, 7, 11] += 1
        table.loc[4, "age"], table.loc[5, "sex"] = 33.0, ""
        table.loc[6, "label:AFIB"] = 1 - table.loc[6, "label:AFIB"]
        table.loc[0, "record"] = "new"
        return table, signals

    change(other, edit)
    found = diff(store_path, other)
    assert not found["equal"] and found["added"] == ["new"] and found["removed"] == [names[0]]
    assert found["changed_signals"] == [names[3]]
    assert found["changed_fields"] == {"age": {names[4]: [before["age"][4], 33.0]},
                                       "sex": {names[5]: [before["sex"][5], ""]}}
    way = "removed" if before["label:AFIB"][6] else "added"
    assert list(found["changed_labels"]) == ["AFIB"] and found["changed_labels"]["AFIB"][way] == [names[6]]
    assert main(["data", "diff", str(store_path), str(other), "--json", str(tmp_path / "d.json")]) == 0
    assert json.loads((tmp_path / "d.json").read_text()) == found
    said = capsys.readouterr().out
    assert all(part in said for part in ("added", "changed signals", "label AFIB", "field age", names[4], "→ nothing"))


def test_unknown_ages_are_no_difference_and_long_lists_are_cut(store_path, other):
    def forget(table, signals):
        table["age"] = np.nan
        return table, signals

    change(other, forget)
    assert diff(other, other)["equal"]
    assert "and 57 more" in "\n".join(lines(diff(store_path, other), most=3))


def test_a_record_that_stands_twice_is_refused(store_path, other):
    change(other, lambda t, s: (t.assign(record="r"), s))
    with pytest.raises(ValueError, match="record 'r' stands there twice"):
        diff(store_path, other)
