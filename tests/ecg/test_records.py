import json

import numpy as np
import pandas as pd
import pytest

from ecg.records import COLUMNS, MARKER, RecordStore, StoreWriter, write_beside


def row(number, split="train"):
    return dict(zip(COLUMNS, (f"r{number}", f"p{number}", "test", 100.0, 50.0, "F", "", 1, split, ""), strict=True))


def write(path, *, signals=None, records=3, labels=("A", "B")):
    signals = np.arange(records * 12 * 20, dtype=np.int16).reshape(records, 12, 20) if signals is None else signals
    with write_beside(path) as folder:
        writer = StoreWriter(folder, sampling_rate=100.0, samples=20, label_names=labels)
        for i, signal in enumerate(signals):
            writer.append(row(i, "train" if i else "test"), signal, labels[:i % 3])
        assert len(writer) == len(signals)
        return writer.finish({"note": "extra"})


def test_a_store_reads_back_what_was_written(tmp_path):
    digest = write(tmp_path / "s")
    store = RecordStore.open(tmp_path / "s")
    np.testing.assert_array_equal(store.signals, np.arange(720, dtype=np.int16).reshape(3, 12, 20))
    assert isinstance(store.signals, np.memmap) and not store.signals.flags.writeable
    assert store.labels.tolist() == [[0, 0], [1, 0], [1, 1]] and store.label_names == ("A", "B")
    assert list(store.table.columns) == [*COLUMNS, "label:A", "label:B"]
    assert (store.digest, len(store), store.sampling_rate, store.meta["note"]) == (digest, 3, 100.0, "extra")
    assert store.rows("train").tolist() == [1, 2]
    assert {p.name for p in (tmp_path / "s").iterdir()} == {MARKER, "records.parquet", "signals.npy", "store.json"}


def test_the_digest_hangs_on_signals_rows_and_labels_alone(tmp_path):
    signals = np.zeros((3, 12, 20), np.int16)
    first = write(tmp_path / "a", signals=signals)
    assert write(tmp_path / "b", signals=signals) == first
    assert write(tmp_path / "c", signals=signals, labels=("A", "C")) != first
    signals[2, 11, 19] = 1
    assert write(tmp_path / "d", signals=signals) != first


def test_an_unknown_split_is_refused_with_those_there_are(tmp_path):
    write(tmp_path / "s")
    with pytest.raises(ValueError, match="no record in split 'validate' .it has test, train."):
        RecordStore.open(tmp_path / "s").rows("validate")


@pytest.mark.parametrize(("text", "message"), [
    (None, "not a record store"), ("{", "not valid JSON"), (json.dumps({"schema": 99}), "schema is 99"),
])
def test_what_is_no_store_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "store.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        RecordStore.open(tmp_path)


def test_a_table_of_another_length_is_refused(tmp_path):
    write(tmp_path / "s")
    table = pd.read_parquet(tmp_path / "s" / "records.parquet")
    table[:2].to_parquet(tmp_path / "s" / "records.parquet", index=False)
    with pytest.raises(ValueError, match="2 rows but 3 signals"):
        RecordStore.open(tmp_path / "s")


def test_a_failure_leaves_the_old_folder_and_no_scratch(tmp_path):
    write(tmp_path / "s")
    with pytest.raises(RuntimeError), write_beside(tmp_path / "s") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert len(RecordStore.open(tmp_path / "s")) == 3


def test_success_replaces_the_old_folder(tmp_path):
    write(tmp_path / "s")
    with write_beside(tmp_path / "s") as folder:
        (folder / "new").touch()
    assert {p.name for p in (tmp_path / "s").iterdir()} == {"new", MARKER}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("precious")
    for path in (tmp_path / "thesis", tmp_path / "thesis" / "chapter1.txt"):
        with pytest.raises(ValueError, match="was not written by this program"), write_beside(path):
            raise AssertionError("reached")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "precious"
