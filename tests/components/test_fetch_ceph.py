"""Fetching from a real Ceph, which refuses wrong keys as AWS does; skipped where it is not installed."""

import random
import tempfile
from pathlib import Path

import pytest

from benchmarks.faults import compare, fill
from components.ingest.fetch import fetch
from components.s3 import connect
from model.params import FetchParams
from tests.components import ceph


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.skipif(not ceph.installed(), reason="no Ceph here (Debian: radosgw, ceph-osd, ceph-mgr, ceph-mon)")
def test_fetching_from_ceph(tmp_path, monkeypatch):
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for name, value in (*zip(names, ceph.KEYS, strict=True), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    with tempfile.TemporaryDirectory(prefix="ceph") as folder, ceph.gateway(Path(folder)) as address:
        client = connect(endpoint=address)
        files = fill(client, "set", random.Random(4))
        params = FetchParams(endpoint=address, workers=4, part_mb=1, attempts=3)
        result = fetch("s3://set/set", tmp_path / "a", params=params)
        assert compare(files, tmp_path / "a") == (0, 0) and "size" not in result.proofs
        assert fetch("s3://set/set", tmp_path / "a", params=params).fetched == 0
        monkeypatch.setenv(names[1], "wrong")
        with pytest.raises(ValueError, match="refuses: SignatureDoesNotMatch"):
            fetch("s3://set/set", tmp_path / "b", params=params)
        open_bucket = FetchParams(endpoint=address, sign="never")
        with pytest.raises(ValueError, match="refuses: AccessDenied; give keys"):
            fetch("s3://set/set", tmp_path / "b", params=open_bucket)
        client.put_bucket_acl(Bucket="set", ACL="public-read")
        for name in files:
            client.put_object_acl(Bucket="set", Key=f"set/{name}", ACL="public-read")
        fetch("s3://set/set", tmp_path / "b", params=open_bucket)
        assert compare(files, tmp_path / "b") == (0, 0)
