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
