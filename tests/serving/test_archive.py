"""The archive: the same for the same contents, and never mixed with another one's."""

import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.reading import file_digest
from serving.archive import write_archive


@pytest.fixture
def folders(packaged, another, tmp_path):
    copies = []
    for folders in (packaged, another):
        copies.append(tmp_path / folders.package.parent.name)
        shutil.copytree(folders.package, copies[-1], ignore=shutil.ignore_patterns("*.mar"))
    return copies


def test_the_same_contents_have_the_same_digest(folders):
    digests = {file_digest(write_archive(folders[0], name="vizecgnet", version="1")) for _ in range(2)}
    assert len(digests) == 1


def test_two_archives_built_at_once_keep_to_their_own_files(folders):
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda folder: write_archive(folder, name="vizecgnet", version="1"), folders))
    for archive, folder in zip(made, folders, strict=True):
        with zipfile.ZipFile(archive) as inside:
            assert inside.read("model.pt2") == (folder / "model.pt2").read_bytes()


def test_a_missing_file_is_the_archivers_reason(folders):
    (folders[0] / "sample.png").unlink()
    with pytest.raises(ValueError, match="the model archiver failed: .*sample.png"):
        write_archive(folders[0], name="vizecgnet", version="1")
