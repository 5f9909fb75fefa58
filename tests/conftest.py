"""What many tests share: a small simulated archive and the store made from it, each built once."""

import pytest
from hypothesis import settings

from ecg.records import RecordStore
from model.params import IngestParams

settings.register_profile("steady", derandomize=True, deadline=None)
# The same examples on every run: a failure in CI is one that anybody can repeat.
settings.load_profile("steady")


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """A folder of 60 simulated WFDB records with their labels.csv."""
    from ecg.sources.simulated import write_archive

    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder, records=60, seed=1)
    return folder


@pytest.fixture(scope="session")
def store_path(archive, tmp_path_factory):
    """The record store of `archive`."""
    from components.ingest.step import run

    path = tmp_path_factory.mktemp("store") / "records"
    run(data=archive, records=path, params=IngestParams(source="simulated", data=str(archive)), seed=1)
    return path


@pytest.fixture(scope="session")
def store(store_path):
    return RecordStore.open(store_path)


@pytest.fixture
def bucket(monkeypatch):
    """The address of a prefix in a bucket of a server on loopback."""
    import boto3
    import requests
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (("AWS_ENDPOINT_URL", f"http://{host}:{port}"), ("AWS_ACCESS_KEY_ID", "some"),
                        ("AWS_SECRET_ACCESS_KEY", "thing"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    # All of moto's servers of a process share one memory, earlier tests' buckets included.
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=60).raise_for_status()
    boto3.client("s3").create_bucket(Bucket="states")
    yield "s3://states/deep/run"
    server.stop()
