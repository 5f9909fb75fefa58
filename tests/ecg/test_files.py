"""A file appears whole or not at all."""

import pytest

from ecg.files import write_whole


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path, durable):
    path = tmp_path / "deep" / "a.txt"
    write_whole(path, "näher", durable=durable)
    assert path.read_bytes() == "näher".encode()
    write_whole(path, b"x", durable=durable)
    assert path.read_bytes() == b"x"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    for content in ("\ud800", ["no bytes"]):
        with pytest.raises((UnicodeEncodeError, TypeError)):
            write_whole(path, content)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
