"""Processes and shards change nothing in what an ingest writes."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import components.ingest.block as block
from components.cli import main
from components.ingest.merge import merge
from components.ingest.step import run
from ecg.records import RecordStore
from model.params import IngestParams
from tests.ecg.archives import folder_rows, write_folder

PARAMS = IngestParams(source="wfdb_folder", duration=1.0, max_quarantined=0.2, workers=1)
FILES = ("signals.npy", "records.parquet", "quarantine.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Thirty short records, three of them damaged, two a patient, without folds of their own."""
    rows = [row | {"patient": f"p{i // 2}", "fold": 0} for i, row in enumerate(folder_rows(30))]
    folder = write_folder(tmp_path_factory.mktemp("data"), rows, seconds=1.0)
    for number in (3, 4, 17):
        file = folder / f"r{number:03d}.dat"
        file.write_bytes(file.read_bytes()[:-2])
    return folder


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The store of all of it, by one process."""
    path = tmp_path_factory.mktemp("whole") / "store"
    run(data=data, records=path, params=PARAMS, seed=1)
    return path


def shards_of(data, folder, count):
    """Ingest each shard into a store of its own."""
    for number in range(1, count + 1):
        run(data=data, records=folder / str(number), params=PARAMS, seed=1, shard=(number, count))
    return [folder / str(number) for number in range(1, count + 1)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_processes_changes_no_byte(data, whole, tmp_path, monkeypatch, workers):
    monkeypatch.setattr("components.ingest.step.BLOCK", 4)
    monkeypatch.setattr(block, "FEWEST_BLOCKS", 2)
    result = run(data=data, records=tmp_path / "s", params=replace(PARAMS, workers=workers), seed=1)
    assert result.digest == RecordStore.open(whole).digest and result.quarantined == 3
    for file in (*FILES, "store.json"):
        assert (tmp_path / "s" / file).read_bytes() == (whole / file).read_bytes()


def test_a_killed_process_is_told_in_a_sentence(tmp_path):
    with pytest.raises(RuntimeError, match="one of its processes was killed"):
        list(block.in_order(kill_itself, [(number,) for number in range(4)], workers=2))


def kill_itself(number):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_shards_merge_into_the_same_store(data, whole, tmp_path, count):
    result = merge(shards=shards_of(data, tmp_path, count)[::-1], records=tmp_path / "s")
    merged, sound = RecordStore.open(tmp_path / "s"), RecordStore.open(whole)
    assert (result.digest, result.records, result.quarantined) == (sound.digest, 27, 3)
    assert merged.digest == sound.digest
    assert (tmp_path / "s" / "signals.npy").read_bytes() == (whole / "signals.npy").read_bytes()
    pd.testing.assert_frame_equal(merged.table, sound.table)
    pd.testing.assert_frame_equal(*(pd.read_parquet(p / "quarantine.parquet") for p in (tmp_path / "s", whole)))
    assert {**merged.meta, "max_quarantined": None} == {**sound.meta, "max_quarantined": None}
    assert merged.table.groupby("patient")["split"].nunique().max() == 1


def test_shards_that_do_not_belong_together_are_refused(data, whole, tmp_path):
    one, two, three = shards_of(data, tmp_path, 3)
    for wrong, message in (([one, three], "1/3, 3/3 are here"), ([one, two, two, three], "each once"),
                           ([whole], "is no shard")):
        with pytest.raises(ValueError, match=message):
            merge(shards=wrong, records=tmp_path / "s")
    run(data=data, records=two, params=replace(PARAMS, duration=2.0), seed=1, shard=(2, 3))
    with pytest.raises(ValueError, match="samples is another than in"):
        merge(shards=[one, two, three], records=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_damaged_shard_is_refused(data, tmp_path):
    shards = shards_of(data, tmp_path, 2)
    raw = (shards[1] / "signals.npy").read_bytes()
    (shards[1] / "signals.npy").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(ValueError, match="does not have the digest"):
        merge(shards=shards, records=tmp_path / "s")


def test_too_many_losses_of_all_shards_together_are_refused(data, tmp_path):
    strict = replace(PARAMS, max_quarantined=0.05)
    for number in (1, 2):
        run(data=data, records=tmp_path / str(number), params=strict, seed=1, shard=(number, 2))
    with pytest.raises(ValueError, match="3 of 30 records cannot be used"):
        merge(shards=[tmp_path / "1", tmp_path / "2"], records=tmp_path / "s")


def test_the_command_line_reads_shards_and_merges_them(data, whole, tmp_path, capsys):
    root = Path(__file__).resolve().parents[2]
    common = ["--params", str(root / "params.yaml"), "--source", "wfdb_folder", "--data", str(data), "--set",
              "ingest.duration=1.0", "--set", "ingest.max_quarantined=0.2"]
    for number in (1, 2):
        assert main(["ingest", *common, "--shard", f"{number}/2", "--out", str(tmp_path / str(number))]) == 0
    assert main(["merge", str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(tmp_path / "s")]) == 0
    assert RecordStore.open(whole).digest in capsys.readouterr().out


def test_components_read_shards_and_merge_them(data, whole, tmp_path):
    from kfp import dsl

    from components.ingest.component import ingest
    from components.ingest.shards_component import merge_shards
    from model.typed import as_dict

    parts = [dsl.Dataset(uri=str(tmp_path / str(number))) for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        ingest.python_func(data=str(data), params=as_dict(PARAMS), seed=1, shard=number, shards=[1, 2],
                           data_digest="d", commit="c", records=part)
    merged = dsl.Dataset(uri=str(tmp_path / "s"))
    merge_shards.python_func(parts=parts, records=merged)
    assert merged.metadata["digest"] == RecordStore.open(whole).digest == RecordStore.open(tmp_path / "s").digest
