from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.splits import FOLDS, fold_of
from components.ingest.step import run
from ecg.quality import REASONS
from ecg.records import RecordStore
from ecg.sources.wfdb_files import read_signal
from model.params import IngestParams
from tests.ecg.archives import beats, folder_rows, write_folder, write_ptbxl, write_record

FOLDER = IngestParams(source="wfdb_folder")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A hundred sound records of as many patients, ten a fold."""
    return write_folder(tmp_path_factory.mktemp("data"), folder_rows(100))


def ingest(data, out, params=FOLDER, **changes):
    result = run(data=data, records=out, params=replace(params, **changes), seed=1)
    return result, RecordStore.open(out)


def harm(data, number, change):
    file = data / f"r{number:03d}.dat"
    file.write_bytes(change(file.read_bytes()))


def test_a_folder_becomes_a_store(data, tmp_path):
    result, store = ingest(data, tmp_path / "s")
    assert (result.records, result.patients, result.quarantined, result.left_out) == (100, 100, 0, 0)
    assert result.splits == {"train": 80, "validate": 10, "test": 10} and result.digest == store.digest
    assert store.signals.shape == (100, 12, 1000) and store.label_names == ("AFIB", "NORM")
    np.testing.assert_array_equal(store.signals[3], np.rint(read_signal(data / "r003").millivolt * 1000))
    first = store.table.iloc[0]
    assert (first["record"], first["patient"], first["split"], first["fold"], first["sex"], first["flags"]) == (
        "r000", "p0", "train", 1, "F", "")
    assert store.labels[0].tolist() == [0, 1] and store.labels[10].tolist() == [1, 0]
    assert set(store.table["split"][store.table["fold"] == 9]) == {"validate"}


def test_the_same_data_gives_the_same_bytes_whatever_the_seed(data, tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        run(data=data, records=tmp_path / name, params=FOLDER, seed=seed)
    for file in ("signals.npy", "records.parquet", "store.json", "quarantine.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_every_kind_of_damage_is_quarantined_with_its_reason(tmp_path):
    data = write_folder(tmp_path / "data", folder_rows(40))
    harm(data, 1, lambda samples: samples[:-100])
    harm(data, 2, lambda samples: samples[:7] + b"\x55" + samples[8:])
    (data / "r003.hea").write_text("nothing of a header\n")
    (data / "r004.dat").unlink()
    (data / "r005.hea").unlink()
    for number, signal in ((6, np.where(np.arange(1000) == 500, np.nan, beats(6))), (7, np.ones((12, 1000))),
                           (8, beats(8)[:, :50])):
        write_record(data / f"r{number:03d}", signal)
    write_record(data / "r009", beats(9)[:8], names=("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))
    write_record(data / "r010", beats(10) * 100, gain=100)
    result, store = ingest(data, tmp_path / "s", max_quarantined=0.25)
    expected = {1: "truncated", 2: "checksum", 3: "unreadable_header", 4: "missing_file", 5: "missing_file",
                6: "missing_samples", 7: "flat", 8: "too_short", 9: "wrong_leads", 10: "overflow"}
    found = pd.read_parquet(tmp_path / "s" / "quarantine.parquet")
    assert dict(zip(found["record"], found["reason"], strict=True)) == {f"r{n:03d}": w for n, w in expected.items()}
    assert found["detail"].str.len().min() > 10 and set(expected.values()) <= set(REASONS)
    assert (result.records, result.quarantined, len(store)) == (30, 10, 30)
    assert result.reasons == dict(Counter(expected.values())) == store.meta["reasons"]
    assert not set(found["record"]) & set(store.table["record"])


def test_too_many_bad_records_stop_the_step_and_leave_what_stood_there(tmp_path):
    data = write_folder(tmp_path / "data", folder_rows(20))
    ingest(data, tmp_path / "s")
    before = RecordStore.open(tmp_path / "s").digest
    harm(data, 1, lambda samples: samples[:-2])
    with pytest.raises(ValueError, match=r"1 of 20 records cannot be used \(1 truncated\).*0.02; the first, r001") as e:
        ingest(data, tmp_path / "s")
    assert "\n" not in str(e.value)
    assert RecordStore.open(tmp_path / "s").digest == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "s"]
    assert ingest(data, tmp_path / "s", max_quarantined=0.05)[0].quarantined == 1


def test_nothing_left_is_an_error_even_if_all_may_be_quarantined(tmp_path):
    data = write_folder(tmp_path / "data", folder_rows(2))
    for number in (0, 1):
        harm(data, number, lambda samples: b"")
    with pytest.raises(ValueError, match="2 of 2 records cannot be used"):
        ingest(data, tmp_path / "s", max_quarantined=1.0)


def test_flat_leads_short_and_long_records_are_flagged(tmp_path):
    data = tmp_path / "data"
    signal = beats(0)
    signal[[7, 8]] = 0.0
    write_record(data / "r000", signal)
    write_record(data / "r001", beats(1, seconds=8))
    write_record(data / "r002", beats(2, seconds=30, rate=500), rate=500)
    _, store = ingest(write_folder(data, folder_rows(4)), tmp_path / "s")
    assert store.table["flags"].tolist() == ["flat:V2;flat:V3", "padded", "cropped", ""]
    assert store.table["sampling_rate"].tolist() == [100.0, 100.0, 500.0, 100.0]
    assert store.signals.shape == (4, 12, 1000)
    np.testing.assert_allclose(store.signals[2] / 1000, beats(2), atol=0.05)


def test_spikes_beyond_16_bits_are_clipped_not_wrapped(tmp_path):
    data, signal = tmp_path / "data", beats(0)
    signal[0, 100], signal[6, 200] = 50.0, -50.0
    write_record(data / "r000", signal, gain=200)
    _, store = ingest(write_folder(data, folder_rows(2)), tmp_path / "s")
    assert store.signals[0, 0, 100] == 32767 and store.signals[0, 6, 200] == -32767
    assert store.table["flags"][0] == "clipped"


def test_a_store_of_another_rate_and_duration(data, tmp_path):
    result, store = ingest(data, tmp_path / "s", sampling_rate=250.0, duration=5.0, limit=3)
    assert store.signals.shape == (3, 12, 1250) and store.sampling_rate == 250 and result.records == 3
    assert set(store.table["flags"]) == {"cropped"}


def test_limit_spreads_evenly_over_the_source(data, tmp_path):
    result, store = ingest(data, tmp_path / "s", limit=10)
    assert result.records == 10 and store.label_names == ("AFIB", "NORM")
    assert store.table["record"].tolist() == [f"r{n:03d}" for n in range(0, 100, 11)]
    assert ingest(data, tmp_path / "s", limit=1000)[0].records == 100


def test_folds_of_no_split_are_left_out_and_counted(data, tmp_path):
    result, store = ingest(data, tmp_path / "s", train_folds=(1, 2), validate_folds=(3,), test_folds=())
    assert result.splits == {"train": 20, "validate": 10, "test": 0} and result.left_out == 70
    assert set(store.table["fold"]) == {1, 2, 3}
    with pytest.raises(ValueError, match=r"none of the 100 records is in folds \[77\]"):
        ingest(data, tmp_path / "t", train_folds=(77,), validate_folds=(), test_folds=())


def test_a_patient_in_two_splits_is_refused_by_name(tmp_path):
    rows = folder_rows(20)
    rows[0] |= {"patient": "Smith", "fold": 3}
    rows[1] |= {"patient": "Smith", "fold": 9}
    data = write_folder(tmp_path / "data", rows)
    with pytest.raises(ValueError, match="'Smith' is in fold 3 .train, record r000. and in fold 9 .validate, "):
        ingest(data, tmp_path / "s")
    assert not (tmp_path / "s").exists()
    result, _ = ingest(data, tmp_path / "s", train_folds=(1, 3, 9), validate_folds=(10,), test_folds=())
    assert result.splits["train"] == 7


def test_records_without_fold_keep_their_patient_together(tmp_path):
    rows = [row | {"patient": f"p{i // 4}", "fold": 0} for i, row in enumerate(folder_rows(80))]
    rows[1]["fold"] = fold_of("p0") % 10 + 1
    _, store = ingest(write_folder(tmp_path / "data", rows), tmp_path / "s")
    assert (store.table.groupby("patient")["fold"].nunique() == 1).all()
    assert set(store.table["fold"][:4]) == {fold_of("p0") % 10 + 1}
    assert store.table["fold"][4] == fold_of("p1")


@given(st.text())
def test_the_hashed_fold_is_stable_and_one_of_ten(patient):
    assert 1 <= fold_of(patient) <= FOLDS and fold_of(patient) == fold_of(patient)


def test_hashed_folds_never_change_and_are_even():
    assert [fold_of(f"p{i}") for i in range(8)] == [5, 8, 7, 2, 9, 9, 5, 1]
    counts = Counter(fold_of(f"patient {i}") for i in range(10_000))
    assert min(counts.values()) > 900 and max(counts.values()) < 1100


def test_labels_that_are_not_kept_are_counted_and_their_records_stay(tmp_path):
    rows = folder_rows(20, labels="NORM;PACED")
    rows[0]["labels"] = "PACED"
    result, store = ingest(write_folder(tmp_path / "data", rows), tmp_path / "s", labels=("AFIB", "NORM"))
    assert result.unknown_labels == {"PACED": 20} == store.meta["unknown_labels"]
    assert store.labels[0].tolist() == [0, 0] and store.labels[1].tolist() == [0, 1]


@pytest.mark.parametrize("rate", [100, 500])
def test_ptbxl_becomes_a_store(tmp_path, rate):
    rows = [{"scp_codes": str({code: 0.0})} for code in ("NORM", "IMI", "NDT", "CRBBB", "LVH", "SR") * 2]
    data = write_ptbxl(tmp_path / "data", rows, rate=rate)
    result, store = ingest(data, tmp_path / "s", IngestParams(source="ptbxl", source_rate=rate))
    assert (result.records, result.unlabelled) == (10, 2) and store.label_names == ("NORM", "MI", "STTC", "CD", "HYP")
    np.testing.assert_array_equal(store.labels, np.tile(np.eye(5), (2, 1)))
    assert store.table["fold"].tolist() == [2, 3, 4, 5, 6, 8, 9, 10, 1, 2]
    assert store.signals.shape == (10, 12, 1000) and set(store.table["sampling_rate"]) == {rate}
    np.testing.assert_allclose(store.signals[1, :, 50:950] / 1000, beats(2)[:, 50:950], atol=0.05)


def test_the_store_may_not_replace_the_data(data, tmp_path):
    for place in (data, data.parent):
        with pytest.raises(ValueError, match="would replace the data"):
            ingest(data, place)
    assert (data / "labels.csv").exists()


def test_the_simulated_archive_comes_in_whole(store):
    assert len(store) == 60 and store.meta["quarantined"] == 0 and store.meta["unknown_labels"] == {}
    assert set(store.table["source"]) == {"simulated"}
