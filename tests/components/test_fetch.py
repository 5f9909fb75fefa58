"""Fetching from a real S3 protocol on loopback, over good lines and bad ones."""

import errno
import hashlib
import os
import random
import shutil
import threading

import boto3
import pytest

from benchmarks.faults import KINDS, RARE, Faults, bad_line, compare, fill, made_up_keys, one_run, s3_server
from components.cli import main
from components.ingest.fetch import fetch, local_folder, needed
from components.ingest.fetch_growing import LEDGER, Growing, Ledger
from components.ingest.fetch_remote import Thing
from components.s3 import connect, split_address
from ecg.records import RecordStore
from model.params import FetchParams, IngestParams, load_params
from tests.components.test_cli import ROOT

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def server():
    with made_up_keys(), s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def client(server):
    return boto3.client("s3", endpoint_url=server)


@pytest.fixture
def bucket(client, request):
    """The name of an empty bucket."""
    name = f"b{hashlib.md5(request.node.name.encode()).hexdigest()}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def params(server):
    return FetchParams(endpoint=server, workers=4, part_mb=1, attempts=3)


def put(client, bucket, **files):
    for name, data in files.items():
        client.put_object(Bucket=bucket, Key=f"set/{name}", Body=data)


def test_everything_comes_once_and_what_changes_comes_again(client, params, tmp_path):
    files = fill(client, "once", random.Random(5))
    result = fetch("s3://once/set/", tmp_path, params=params)
    assert compare(files, tmp_path) == (0, 0)
    assert (result.files, result.fetched, result.kept) == (len(files), len(files), 0)
    assert fetch("s3://once/set", tmp_path, params=params).fetched == 0
    files["empty.csv"] = b"no longer"
    client.put_object(Bucket="once", Key="set/empty.csv", Body=files["empty.csv"])
    (tmp_path / "records100/00003.dat").write_bytes(b"edited here")
    files.pop("SHA256SUMS.txt", None)
    client.delete_object(Bucket="once", Key="set/SHA256SUMS.txt")
    assert fetch("s3://once/set", tmp_path, params=params).fetched == 2
    assert compare(files, tmp_path)[0] == 0


def test_files_that_came_another_way_are_proved_and_kept(client, bucket, params, tmp_path):
    put(client, bucket, a=b"alpha", b=b"beta")
    (tmp_path / "a").write_bytes(b"alpha")
    (tmp_path / "b").write_bytes(b"bets")
    result = fetch(f"s3://{bucket}/set", tmp_path, params=params)
    assert (result.fetched, result.kept) == (1, 1) and (tmp_path / "b").read_bytes() == b"beta"


def test_an_upload_in_parts_is_proved_by_its_etag(client, bucket, params, tmp_path):
    data = random.Random(1).randbytes((5 << 20) + 1234)
    upload = client.create_multipart_upload(Bucket=bucket, Key="set/big")["UploadId"]
    parts = [{"PartNumber": n, "ETag": client.upload_part(Bucket=bucket, Key="set/big", UploadId=upload, PartNumber=n,
                                                          Body=part)["ETag"]}
             for n, part in enumerate((data[:5 << 20], data[5 << 20:]), 1)]
    client.complete_multipart_upload(Bucket=bucket, Key="set/big", UploadId=upload, MultipartUpload={"Parts": parts})
    result = fetch(f"s3://{bucket}/set", tmp_path, params=params)
    assert result.proofs == {"parts": 1} and (tmp_path / "big").read_bytes() == data


def test_a_file_that_the_sets_own_list_contradicts_is_refused(client, bucket, params, tmp_path):
    put(client, bucket, a=b"alpha", **{"SHA256SUMS.txt": f"{'0' * 64}  a\n".encode()})
    with pytest.raises(ValueError, match="a: the bucket's file is not the one that SHA256SUMS.txt lists"):
        fetch(f"s3://{bucket}/set", tmp_path, params=params)
    assert not (tmp_path / "a").exists()


def test_only_what_a_source_needs(client, bucket, params, tmp_path):
    names = ("ptbxl_database.csv", "scp_statements.csv", "records100/00000/00001_lr.dat",
             "records500/00000/00001_hr.dat", "example.ipynb")
    put(client, bucket, **dict.fromkeys(names, b"x"))
    ingest = IngestParams(source="ptbxl", fetch=FetchParams(folder=str(tmp_path), endpoint=params.endpoint))
    folder = local_folder(f"s3://{bucket}/set", ingest)
    assert folder == tmp_path / bucket / "set"
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert found == {*names[:3], LEDGER}
    assert needed(IngestParams(source="wfdb_folder")) == () and "records500/*" in needed(
        IngestParams(source="ptbxl", source_rate=500))


def test_a_cut_line_loses_nothing_and_nothing_comes_twice(client, server, bucket, tmp_path):
    data = random.Random(2).randbytes(3 << 20)
    put(client, bucket, large=data)
    faults = Faults(cut_after=1 << 20)
    with bad_line(server, faults) as address:
        params = FetchParams(endpoint=address, workers=1, part_mb=1, attempts=2)
        with pytest.raises(RuntimeError, match="2 tries in a row failed; .* call again to go on"):
            fetch(f"s3://{bucket}/set", tmp_path, params=params, pause=0.01)
        assert not (tmp_path / "large").exists() and (tmp_path / "large.part").exists()
        faults.cut_after = None
        fetch(f"s3://{bucket}/set", tmp_path, params=params, pause=0.01)
    assert (tmp_path / "large").read_bytes() == data
    assert faults.content < len(data) * 1.5  # what the cut answer still carried came twice, and nothing else
    assert sorted(p.name for p in tmp_path.iterdir()) == [LEDGER, "large"]


def test_a_full_disk_loses_nothing(client, bucket, params, tmp_path, monkeypatch):
    data = random.Random(3).randbytes(2 << 20)
    put(client, bucket, a=data)
    real, room, one_at_a_time = os.pwrite, [1_500_000], threading.Lock()

    def pwrite(descriptor, view, at):
        with one_at_a_time:
            if not room[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken = real(descriptor, view[:room[0]], at)
            room[0] -= taken
            return taken

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(OSError, match="the disk is full; what has arrived is kept") as raised:
            fetch(f"s3://{bucket}/set", tmp_path, params=params)
    assert raised.value.errno == errno.ENOSPC
    fetch(f"s3://{bucket}/set", tmp_path, params=params)
    assert (tmp_path / "a").read_bytes() == data


def test_room_is_asked_for_beforehand(client, bucket, params, tmp_path, monkeypatch):
    put(client, bucket, a=b"alpha")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(ValueError, match="GB are to come and 0.00 GB are free; make room"):
        fetch(f"s3://{bucket}/set", tmp_path, params=params)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("key", "said"), [
    ("../a", "cannot be a file"), ("a//b", "cannot be a file"), ("a\\b", "cannot be a file"),
    ("x.part", "stands in the way"), ("x.part.json", "stands in the way"), (LEDGER, "is what a fetch writes here"),
    ("x/y", "both an object and a folder")])
def test_keys_that_cannot_be_files_are_refused(client, bucket, params, tmp_path, key, said):
    put(client, bucket, x=b"x", **{key: b"x"})
    with pytest.raises(ValueError, match=said):
        fetch(f"s3://{bucket}/set", tmp_path / "out", params=params)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [LEDGER]


def test_what_the_bucket_refuses_for_good_is_said_at_once(bucket, params, tmp_path):
    with pytest.raises(ValueError, match="refuses: NoSuchBucket"):
        fetch("s3://no-such-bucket/set", tmp_path, params=params)
    with pytest.raises(ValueError, match="holds nothing that matches"):
        fetch(f"s3://{bucket}/set", tmp_path, params=params, include=("*.dat",))
    with pytest.raises(ValueError, match="names no bucket"):
        split_address("s3:///x", where="--data")
    with pytest.raises(ValueError, match="the bucket's client: .*no-such-profile"):
        connect(profile="no-such-profile")
    held = Ledger(tmp_path)
    with pytest.raises(ValueError, match="another fetch is writing there"):
        fetch(f"s3://{bucket}/set", tmp_path, params=params)
    held.close()


def test_keys_come_from_a_profile_and_open_buckets_need_none(server, tmp_path, monkeypatch):
    file = tmp_path / "config"
    file.write_text(f"[profile lab]\naws_access_key_id = A\naws_secret_access_key = B\nendpoint_url = {server}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    ours = connect(profile="lab")
    assert ours.meta.endpoint_url == server and ours._request_signer._credentials.access_key == "A"
    from botocore import UNSIGNED

    assert connect(endpoint=server, sign="never").meta.config.signature_version is UNSIGNED
    assert ours.meta.config.request_checksum_calculation == "when_required"


def test_a_torn_line_of_the_ledger_and_a_list_of_another_object_count_for_nothing(tmp_path):
    thing = Thing("set/a", "a", 4, "e")
    (tmp_path / "a").write_bytes(b"abcd")
    ledger = Ledger(tmp_path)
    ledger.add(tmp_path / "a", thing, "md5")
    ledger.close()
    (tmp_path / LEDGER).write_text((tmp_path / LEDGER).read_text() + '{"name": "b", "et')
    ledger = Ledger(tmp_path)
    assert ledger.holds(tmp_path / "a", thing) and not ledger.holds(tmp_path / "b", Thing("set/b", "b", 4, "e"))
    ledger.close()
    growing = Growing(tmp_path / "c", Thing("set/c", "c", 30, "e"), 10)
    growing.write(b"0123456789", 0)
    growing.note(0, 10)
    growing.close()
    assert Growing(tmp_path / "c", Thing("set/c", "c", 30, "e"), 10).left == {1, 2}
    assert Growing(tmp_path / "c", Thing("set/c", "c", 30, "other"), 10).left == {0, 1, 2}


def test_ingest_reads_a_bucket_as_it_reads_a_folder(archive, store_path, client, server, bucket, tmp_path, monkeypatch,
                                                    capsys):
    for path in archive.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), bucket, f"set/{path.relative_to(archive)}")
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    assert main(["recipe", "demo", "--data", f"s3://{bucket}/set"]) == 0
    assert load_params("params.yaml").ingest.data == f"s3://{bucket}/set"
    assert main(["ingest", "--out", "store", "--seed", "1"]) == 0
    assert RecordStore.open("store").digest == RecordStore.open(store_path).digest
    record = next(path for path in archive.rglob("*.hea"))
    for path in record.parent.glob(f"{record.stem}.*"):
        client.delete_object(Bucket=bucket, Key=f"set/{path.relative_to(archive)}")
    assert main(["ingest", "--out", "store", "--seed", "1", "--set", "ingest.max_quarantined=0.5"]) == 0
    assert len(RecordStore.open("store").table) == len(RecordStore.open(store_path).table) - 1
    assert f"files are there no more and were removed from local/fetched/{bucket}/set" in "".join(capsys.readouterr())
    assert main(["fetch", f"s3://{bucket}/set", "--out", "local/one", "--include", "labels.csv"]) == 0
    assert (tmp_path / "local/one/labels.csv").read_bytes() == (archive / "labels.csv").read_bytes()
    assert main(["fetch", "s3://", "--out", "x"]) == 2


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_bad_line_costs_no_byte(server, tmp_path, seed):
    kinds = tuple(kind for kind in KINDS if kind != RARE)
    outcome = one_run(server, 1000 + seed, tmp_path, kinds=kinds)
    assert (outcome.wrong, outcome.strays, outcome.again) == (0, 0, 0)
    assert outcome.faults
