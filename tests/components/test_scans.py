"""Scans to readings: fetched from a real registry, read in parts from a folder and a bucket, put together."""

import json
import os
import shutil

import boto3
import pandas as pd
import pytest

from benchmarks.faults import Faults, bad_line
from components.scans.bucket import Objects
from components.scans.step import fetch, gather, read
from components.tracking import connect
from model.override import TAGS, Override
from model.package import package_digest
from model.params import GateParams, Rule, TrackingParams
from tests.components.test_register import register


@pytest.fixture(scope="module")
def scans(pages, tmp_path_factory):
    """Three printed pages, one file that is none, and one that no ending makes a page."""
    folder = tmp_path_factory.mktemp("scans")
    for page in (pages / "samples").glob("*.png"):
        shutil.copy(page, folder)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a page")
    return folder


def in_parts(scans, package, out, count):
    parts = tuple(out / str(part) for part in range(count))
    for number, part in enumerate(parts):
        read(scans=str(scans), package=package, readings=part, part=number, parts=count)
    return gather(parts=parts, readings=out / "readings"), out / "readings"


def timeless(file):
    """Answers without how long they took."""
    return json.loads(file.read_text(), object_hook=lambda found: {k: v for k, v in found.items() if k != "timing_ms"})


def test_parts_come_to_what_one_machine_reads(scans, packaged, tmp_path):
    (result, several), (_, alone) = (in_parts(scans, packaged.package, tmp_path / str(n), n) for n in (3, 1))
    assert (result.files, result.unread) == (4, 1)
    assert timeless(several / "readings.json") == timeless(alone / "readings.json")
    table = pd.read_parquet(several / "readings.parquet")
    answers = {answer["file"]: answer for answer in json.loads((several / "readings.json").read_text())}
    assert set(table["file"]) == answers.keys() and not any("notes" in name for name in answers)
    broken = table[table["error"].notna()]
    assert list(broken["file"]) == [str(scans / "broken.png")]
    for name, rows in table[table["error"].isna()].groupby("file"):
        findings = {finding["label"]: finding["probability"] for finding in answers[name]["findings"]}
        assert dict(zip(rows["label"], rows["probability"], strict=True)) == findings


def test_an_archive_of_another_layout_is_read_where_that_is_said(scans, packaged, tmp_path):
    for layout, expected in (("", "3x4+1R"), ("6x2", "6x2")):
        out = tmp_path / layout / "out"
        read(scans=str(scans), package=packaged.package, readings=out, part=0, parts=1, layout=layout)
        answers = json.loads((out / "readings.json").read_text())
        assert {answer["page"]["layout"] for answer in answers if "findings" in answer} == {expected}
    with pytest.raises(ValueError, match="unknown layout '7x2'"):
        read(scans=str(scans), package=packaged.package, readings=tmp_path / "x", part=0, parts=1, layout="7x2")


def test_a_bucket_is_read_like_a_folder_and_keys_are_no_paths(scans, packaged, bucket, tmp_path):
    import boto3

    client = boto3.client("s3")
    for page in scans.iterdir():
        client.upload_file(str(page), "states", f"new/{page.name}")
    client.put_object(Bucket="states", Key="new/../../evil.png", Body=b"no picture")
    client.put_object(Bucket="states", Key="new/deeper/page.png", Body=b"not listed")
    _, folder = in_parts(scans, packaged.package, tmp_path / "folder", 1)
    result, readings = in_parts("s3://states/new", packaged.package, tmp_path / "bucket", 2)
    there, here = (json.loads((each / "readings.json").read_text()) for each in (readings, folder))
    assert {answer["file"].removeprefix("s3://states/new/"): answer.get("findings") for answer in there} == {
        answer["file"].removeprefix(f"{scans}/"): answer.get("findings") for answer in here}
    with pytest.raises(ValueError, match="no page file directly below it"):
        read(scans="s3://states/old", package=packaged.package, readings=tmp_path / "x", part=0, parts=1)
    with pytest.raises(ValueError, match="names no bucket"):
        read(scans="s3:///", package=packaged.package, readings=tmp_path / "x", part=0, parts=1)


def test_a_part_given_twice_or_beyond_the_last_is_refused(scans, packaged, tmp_path):
    with pytest.raises(ValueError, match="part of 2"):
        read(scans=str(scans), package=packaged.package, readings=tmp_path / "x", part=2, parts=2)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "readings.json").write_text('[{"file": "a.png", "error": "no picture"}]')
    with pytest.raises(ValueError, match="a.png was read twice"):
        gather(parts=(tmp_path / "part",) * 2, readings=tmp_path / "readings")


def test_the_components_read_and_gather(scans, packaged, tmp_path):
    from kfp import dsl

    from components.scans.component import read_scans
    from components.scans.gather_component import gather as gather_component

    parts = [dsl.Dataset(uri=str(tmp_path / str(part))) for part in (0, 1)]
    for number, part in enumerate(parts):
        read_scans.python_func(scans=str(scans), package=dsl.Model(uri=str(packaged.package)), part=float(number),
                               parts=[0.0, 1.0], readings=part)
    readings, metrics = dsl.Dataset(uri=str(tmp_path / "readings")), dsl.Metrics(uri=str(tmp_path / "metrics"))
    gather_component.python_func(parts=parts, readings=readings, metrics=metrics)
    assert readings.metadata == {"files": 4, "unread": 1} == {key: int(v) for key, v in metrics.metadata.items()}


def test_the_champion_is_fetched_and_nothing_else_is(packaged, tmp_path):
    tracking = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")
    version = register(packaged, tracking, tmp_path / "registration")
    where = dict(package=tmp_path / "package", evaluation=tmp_path / "evaluation", tracking=tracking)
    with pytest.raises(ValueError, match="no version has the alias champion; deploy one first"):
        fetch(name=version.name, alias="champion", **where)
    client = connect(tracking).MlflowClient()
    client.set_registered_model_alias(version.name, "champion", version.version)
    fetched = fetch(name=version.name, alias="champion", **where)
    assert fetched.version == version.version
    assert fetched.package_digest == package_digest(tmp_path / "package") == package_digest(packaged.package)
    client.set_model_version_tag(version.name, version.version, "package_digest", "other")
    with pytest.raises(ValueError, match="not the package registered as"):
        fetch(name=version.name, alias="champion", **where)


def test_a_version_that_the_gate_refused_reads_nothing_though_somebody_gave_it_the_alias(refused, tmp_path):
    tracking = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db")
    answered = Override("a cardiologist", "for a study")
    version = register(refused, tracking, tmp_path / "registration", override=answered,
                       gate=GateParams(rules=(Rule(limit=0.999),)))
    where = dict(package=tmp_path / "package", evaluation=tmp_path / "evaluation", tracking=tracking)
    assert fetch(name=version.name, alias="challenger", **where).version == version.version
    client = connect(tracking).MlflowClient()
    client.set_registered_model_alias(version.name, "champion", version.version)
    for tag in TAGS:
        client.delete_model_version_tag(version.name, version.version, tag)
    with pytest.raises(ValueError, match="the gate refused this model"):
        fetch(name=version.name, alias="champion", **where)


@pytest.mark.live
@pytest.mark.parametrize("kind", ["short body", "reset"])
def test_a_page_whose_download_breaks_off_each_time_is_named(bucket, tmp_path, monkeypatch, kind):
    boto3.client("s3").put_object(Bucket="states", Key="new/page.png", Body=bytes(100_000))
    with bad_line(os.environ["AWS_ENDPOINT_URL"], faults := Faults(kinds=(kind,))) as line:
        monkeypatch.setenv("AWS_ENDPOINT_URL", line)
        objects = Objects("s3://states/new")
        keys = objects.pages()
        faults.share = 1.0
        with pytest.raises(RuntimeError, match=r"^scans: s3://states/new/page\.png: broke off \(.*\); call again$"):
            objects.bring(keys, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_has_gone_since_it_was_listed_is_named(bucket, tmp_path):
    with pytest.raises(ValueError, match="^scans: s3://states/new/gone.png: "):
        Objects("s3://states/new").bring(["new/gone.png"], tmp_path)
