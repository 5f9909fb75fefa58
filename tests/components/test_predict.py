"""predict with a package: tables for people, JSON for programs, a bad page named and the others answered."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.predict import exit_status, image_files, run, table
from ecg.paper.draw import PageOptions, draw_page
from ecg.paper.layout import fitted, layout
from ecg.paper.page import Renderer
from ecg.sources.simulated import plan, simulate
from model.file_reading import undecided
from model.reading import PageReading, probabilities
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


def test_spreadsheets_people_and_fhir_get_their_files(packaged, folder, tmp_path):
    out = {kind: tmp_path / f"a.{kind}" for kind in ("csv", "html", "fhir")}
    results = run(page_paths=[folder], package=packaged.package, csv_out=out["csv"], html_out=out["html"],
                  fhir_out=out["fhir"])
    rows = pd.read_csv(out["csv"])
    first = rows[rows.file == str(folder / "a.png")]
    assert first.probability.tolist() == [finding["probability"] for finding in results[0]["findings"]]
    assert "not a readable picture" in rows[rows.file == str(folder / "b.PNG")].error.item()
    html = out["html"].read_text()
    assert html.count("<article ") == 3 and html.count("data:image/webp;base64,") == 4
    assert "explain" not in results[0], "pictures of a folder are not held"
    assert "Not for diagnosis without a physician" in html and "Not read: not a readable picture" in html
    bundle = json.loads(out["fhir"].read_text())
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds.count("DiagnosticReport") == 2 and kinds.count("Observation") == 2 * len(results[0]["findings"])


def test_each_page_of_a_pdf_is_told_and_counted(packaged, folder, tmp_path, capsys):
    page = Image.open(folder / "a.png").convert("RGB")
    blank = Image.new("RGB", page.size, "white")
    page.save(tmp_path / "two.pdf", save_all=True, append_images=[blank], resolution=200)
    results = run(page_paths=[tmp_path / "two.pdf"], package=packaged.package, csv_out=tmp_path / "a.csv")
    assert exit_status(results) == 2
    printed = capsys.readouterr().out
    assert "two.pdf, page 1 of 2  (" in printed and "two.pdf, page 2 of 2: not read: no ECG grid here" in printed
    assert pd.read_csv(tmp_path / "a.csv").page.tolist() == [1] * len(results[0]["pages"][0]["findings"]) + [2]


def test_patterns_stand_for_files(folder):
    assert [file.name for file in image_files([folder / "*.png"])] == ["a.png", "c.png"]
    assert len(image_files([folder.parent / "**" / "*.png"])) >= 2
    with pytest.raises(ValueError, match="no file matches"):
        image_files([folder / "*.bmp"])


def test_the_table_shows_every_finding_and_marks_those_present(packaged, folder):
    result, = run(page_paths=[folder / "a.png"], package=packaged.package)
    head, titles, *rows = table(result)
    assert str(folder / "a.png") in head and "probability  threshold" in titles
    assert len(rows) == len(result["findings"])
    marked = {row.split()[1] for row in rows if row.startswith("  *")}
    assert marked == {finding["label"] for finding in result["findings"] if finding["present"]}
    shown = [float(row.removeprefix("  *").split()[1]) for row in rows]
    assert shown == sorted(shown, reverse=True)
    assert [" likely" in row for row in rows] == ["calibrated" in finding for finding in result["findings"]]
    unsure = sum(undecided(finding) for finding in result["findings"])
    assert sum(row.endswith("not decided") for row in rows) == unsure


@pytest.mark.parametrize(("present", "plausible", "open_"), [
    (True, ["present"], False), (False, ["absent"], False), (True, ["absent", "present"], True), (True, [], True),
    (False, ["present"], True), (True, ["absent"], True), (True, None, False)])
def test_a_page_decides_where_one_answer_is_plausible_and_the_threshold_says_it_too(present, plausible, open_):
    assert undecided({"present": present} | ({} if plausible is None else {"plausible": plausible})) is open_


def test_what_is_doubtful_about_a_page_is_said(packaged, folder, tmp_path, capsys):
    page = np.asarray(Image.open(folder / "a.png").convert("L"))
    Image.fromarray(np.where(page < 100, page, 255).astype(np.uint8)).save(tmp_path / "gridless.png")
    result, = run(page_paths=[tmp_path / "gridless.png"], package=packaged.package)
    assert result["page"]["warnings"]
    assert f"doubtful: {result['page']['warnings'][0]}" in capsys.readouterr().out


def test_a_missing_file_is_named_and_the_next_is_read(packaged, folder):
    results = run(page_paths=[folder / "none.png", folder / "a.png"], package=packaged.package)
    assert results[0]["error"] == "no such file; check its name" and "findings" in results[1]


def test_a_place_that_cannot_be_written_is_named_before_anything_is_read(packaged, folder):
    with pytest.raises(ValueError, match="is a folder; name a file to write"):
        run(page_paths=[folder], package=packaged.package, json_out=folder)
    with pytest.raises(ValueError, match="cannot be written"):
        run(page_paths=[folder], package=packaged.package, csv_out=folder / "a.png" / "a.csv")


def test_a_page_of_another_layout_is_read_where_that_is_said(packaged, tmp_path):
    """Each row of the page must come to the row that the reader was shown."""
    signal = simulate(plan(records=1, seed=3)[0], seed=3) * np.int16(5)
    drawn = draw_page(signal, sampling_rate=100.0, options=PageOptions(layout="6x2"), record="a")
    Image.fromarray(drawn.rgb).save(tmp_path / "a.png")
    reading = PageReading.open(packaged.package)
    six = reading.arranged("6x2")
    page = six.page
    shown = Renderer(fitted(layout("6x2"), height_mm=page.height / page.px_per_mm), height=page.height,
                     width=page.width, px_per_mm=page.px_per_mm, sampling_rate=100.0, samples=1000).draw(signal)
    image = (tmp_path / "a.png").read_bytes()
    near, far = (np.corrcoef(r.prepare(image).image.ravel(), shown.ravel())[0, 1] for r in (six, reading))
    assert near > far + 0.1
    answers = [run(page_paths=[tmp_path / "a.png"], package=packaged.package, layout=name)[0] for name in (None, "6x2")]
    assert probabilities(answers[0]) != probabilities(answers[1]) == probabilities(six.read(image))
    with pytest.raises(ValueError, match="unknown layout '7x2'"):
        run(page_paths=[tmp_path / "a.png"], package=packaged.package, layout="7x2")


@pytest.mark.parametrize(("arguments", "match"), [
    ({}, "--package DIR"), ({"endpoint": "http://127.0.0.1:9", "token": "t", "layout": "7x2"}, "unknown layout"),
    ({"package": "p", "endpoint": "http://x"}, "either a package"),
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


def test_what_was_read_is_written_when_the_server_goes_away(packaged, folder, tmp_path, capsys):
    answer = run(page_paths=[folder / "a.png"], package=packaged.package)[0]
    del answer["file"]
    with answering([(200, answer), (400, {"type": "InvalidKeyException"})]) as server, pytest.raises(
            ValueError, match="token is not accepted"):
        run(page_paths=[folder / "a.png"] * 3, endpoint=server.address, token="short-lived",
            json_out=tmp_path / "a.json", csv_out=tmp_path / "a.csv")
    kept, = json.loads((tmp_path / "a.json").read_text())
    assert kept["findings"] == answer["findings"] and len((tmp_path / "a.csv").read_text().splitlines()) > 1
    assert "1 of 3 files were read" in capsys.readouterr().err
