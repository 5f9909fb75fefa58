"""A file appears whole or not at all."""

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest

from ecg.files import scratch_folder, take_place, write_whole


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


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    path, heard = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: heard.append(path.read_text()))
    reader.start()
    write_whole(path, "through")
    reader.join(timeout=10)
    assert heard == ["through"] and path.is_fifo()


def test_what_leads_to_a_file_stays_and_memory_is_a_folder_like_any_other(tmp_path):
    out = tmp_path / "out"
    with open(out, "wb") as file:
        write_whole(f"/dev/fd/{file.fileno()}", "through")
    assert out.read_text() == "through"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        write_whole(f"{folder}/deep/a", "there")
        assert Path(folder, "deep", "a").read_text() == "there"


def test_two_that_write_at_once_each_leave_a_whole_file(tmp_path):
    path, sizes = tmp_path / "a", (3_000_000, 1_000_000)
    writers = [threading.Thread(target=lambda size=size: [write_whole(path, b"x" * size) for _ in range(20)])
               for size in sizes]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert not path.exists() or path.stat().st_size in sizes
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_a_dead_writer_left_goes_and_one_that_is_written_stays(tmp_path):
    path, long_ago = tmp_path / "[out]", time.time() - 3600
    left, young = tmp_path / ".[out].0a.writing", tmp_path / ".[out].0b.writing"
    for folder in (left, young):
        folder.mkdir()
        (folder / "part").touch()
    os.utime(left, (long_ago, long_ago))
    with scratch_folder(path) as first:
        (first / "mine").touch()
        os.utime(first, (long_ago, long_ago))
        with scratch_folder(path) as second:
            assert first != second and (first / "mine").exists() and not list(second.iterdir())
            second.rename(path)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [young.name, path.name]


@pytest.mark.parametrize("broken", ["rename", "rmtree"])
def test_a_folder_whose_replacement_is_cut_short_stands_there_whole(tmp_path, monkeypatch, broken):
    path, scratch = tmp_path / "out", tmp_path / "scratch"
    for folder, name in ((path, "old"), (scratch, "new")):
        folder.mkdir()
        (folder / name).touch()

    def cut(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if broken == "rmtree":
            patch.setattr(shutil, "rmtree", cut)
        else:
            move = Path.rename
            patch.setattr(Path, "rename", lambda one, to: cut() if one == scratch else move(one, to))
        take_place(scratch, path)
    assert [file.name for file in path.iterdir()] == ["old" if broken == "rename" else "new"]
