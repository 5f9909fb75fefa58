"""predict with a package: tables for people, JSON for programs, a bad page named and the others answered."""

import json
import shutil

import pytest

from components.predict import exit_status, run, table
from tests.serving.scripted import answering


@pytest.fixture
def folder(packaged, tmp_path):
    """Two pages, one torn page, and a file that is none."""
    folder = tmp_path / "scans"
    folder.mkdir()
    samples = sorted((packaged.pages / "samples").glob("*.png"))[:2]
    for name, sample in zip("ac", samples, strict=True):
        shutil.copyfile(sample, folder / f"{name}.png")
    (folder / "b.PNG").write_bytes(samples[0].read_bytes()[:500])
    (folder / "notes.txt").write_text("not a page")
    return folder


def test_a_folder_is_read_page_by_page_and_a_bad_one_fails_alone(packaged, folder, tmp_path, capsys):
    results = run(page_paths=[folder], package=packaged.package, json_out=tmp_path / "out" / "findings.json")
    assert [("error" in result) for result in results] == [False, True, False]
    assert exit_status(results) == 2 and exit_status(results[:1]) == 0
    assert json.loads((tmp_path / "out" / "findings.json").read_text()) == results
    printed = capsys.readouterr().out
    assert f"{folder}/b.PNG: not read: not a readable picture" in printed and "notes.txt" not in printed
    assert printed.count("finding ") == 2


def test_the_table_shows_every_finding_and_marks_those_present(packaged, folder):
    result, = run(page_paths=[folder / "a.png"], package=packaged.package)
    head, titles, *rows = table(result)
    assert str(folder / "a.png") in head and "probability  threshold" in titles
    assert len(rows) == len(result["findings"])
    marked = {row.split()[1] for row in rows if row.startswith("  *")}
    assert marked == {finding["label"] for finding in result["findings"] if finding["present"]}
    shown = [float(row.removeprefix("  *").split()[-2]) for row in rows]
    assert shown == sorted(shown, reverse=True)


def test_a_missing_file_is_named_and_the_next_is_read(packaged, folder):
    results = run(page_paths=[folder / "none.png", folder / "a.png"], package=packaged.package)
    assert results[0]["error"] == "No such file or directory" and "findings" in results[1]


@pytest.mark.parametrize(("arguments", "match"), [
    ({}, "--package DIR"), ({"package": "p", "endpoint": "http://x"}, "either a package"),
    ({"endpoint": "http://127.0.0.1:9"}, "--token"),
    ({"endpoint": "http://127.0.0.1:9", "token": "t", "key_file": "k"}, "--token")])
def test_contradictory_arguments_are_refused(folder, arguments, match):
    with pytest.raises(ValueError, match=match):
        run(page_paths=[folder], **arguments)


def test_no_page_and_an_empty_folder_are_named(packaged, tmp_path):
    with pytest.raises(ValueError, match="no page given"):
        run(page_paths=[], package=packaged.package)
    with pytest.raises(ValueError, match="no image in this folder"):
        run(page_paths=[tmp_path], package=packaged.package)


def test_a_folder_that_is_no_package_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match="model.json: no such file; make it with 'vizecg package'"):
        run(page_paths=[folder], package=tmp_path)


def test_a_refused_token_ends_the_command_at_the_first_page(folder):
    with answering([(400, {"type": "InvalidKeyException"})] * 9) as server, pytest.raises(
            ValueError, match="token is not accepted"):
        run(page_paths=[folder], endpoint=server.address, token="wrong")
    assert len(server.requests) == 2
