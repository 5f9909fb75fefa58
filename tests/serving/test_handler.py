"""The handler with TorchServe's own context: each request gets its own answer and status."""

import json
import shutil
from pathlib import Path

import pytest
from ts.context import Context, RequestProcessor

from model.reading import PageReading
from serving.handler import PageHandler, reply_to

HANDLER = Path(__file__).parents[2] / "serving" / "handler.py"


def context(folder, requests=0):
    made = Context("vizecgnet", str(folder), {}, 4, None, "0", True)
    made.request_processor = [RequestProcessor({}) for _ in range(requests)]
    return made


@pytest.fixture(scope="module")
def handler(packaged):
    handler = PageHandler()
    handler.initialize(context(packaged.package))
    return handler


@pytest.fixture(scope="module")
def sample(packaged):
    return (packaged.package / "sample.png").read_bytes()


def send(handler, packaged, requests):
    given = context(packaged.package, len(requests))
    replies = handler.handle(requests, given)
    kinds = [given.get_response_content_type(i) for i in range(len(requests))]
    assert kinds == ["application/fhir+json" if request.get("format") == b"fhir" else "application/json"
                     for request in requests]
    return [(given.get_response_status(i)[0], json.loads(reply)) for i, reply in enumerate(replies)]


def test_a_mixed_batch_answers_each_for_itself(handler, packaged, sample):
    requests = [{"body": bytearray(sample)}, {"body": b"junk"}, {}, {"data": sample}, {"body": {"json": 1}}]
    answers = send(handler, packaged, requests)
    assert [status for status, _ in answers] == [200, 422, 422, 200, 422]
    expected = PageReading.open(packaged.package).read(sample)
    assert answers[0][1]["findings"] == answers[3][1]["findings"]
    assert [f["probability"] for f in answers[0][1]["findings"]] == pytest.approx(
        [f["probability"] for f in expected["findings"]], abs=1e-5)
    assert "not a readable picture" in answers[1][1]["error"]
    assert all("holds no image" in answers[i][1]["error"] for i in (2, 4))


def test_the_query_asks_for_pictures_and_for_fhir(handler, packaged, sample):
    """TorchServe hands the parameters of a query over as fields of the request, in bytes."""
    page = {"body": bytearray(sample)}
    answers = send(handler, packaged, [
        {**page, "explain": bytearray(b"1")}, {**page, "format": b"fhir"}, {"body": b"junk", "format": b"fhir"},
        {**page, "explain": b"perhaps"}, {**page, "format": b"xml"}, {**page, "data": b"junk", "explain": b"0"}])
    assert [status for status, _ in answers] == [200, 200, 422, 422, 422, 200]
    explained, bundle, outcome, perhaps, xml, plain = (reply for _, reply in answers)
    assert explained["explain"]["overlay_png"] and "explain" not in plain
    assert bundle["resourceType"] == "Bundle" and outcome["resourceType"] == "OperationOutcome"
    assert perhaps["error"] == "explain: must be one of 1, true, yes, 0, false, no"
    assert xml["error"] == "format: must be one of json, fhir"


def test_each_request_may_say_how_its_page_is_arranged(handler, packaged, sample):
    page = {"body": bytearray(sample)}
    answers = send(handler, packaged, [page, {**page, "layout": b"12x1-cabrera"}, {**page, "layout": b"7x2"}])
    assert [status for status, _ in answers] == [200, 200, 422]
    plain, other, unknown = (reply for _, reply in answers)
    assert plain["page"]["layout"] == "3x4+1R" and not plain["page"]["warnings"]
    assert other["page"]["layout"] == "12x1-cabrera" and other["findings"] != plain["findings"]
    assert "unknown layout '7x2'; known are 3x4, " in unknown["error"]


def test_a_batch_of_bad_requests_alone_is_answered(handler, packaged):
    assert [status for status, _ in send(handler, packaged, [{"body": b"junk"}, {}])] == [422, 422]


def test_our_own_fault_is_not_blamed_on_the_page_and_shows_no_detail():
    status, reply = reply_to(KeyError("/secret/path"))
    assert status == 500 and "secret" not in json.dumps(reply)


def test_a_damaged_archive_does_not_come_up(packaged, tmp_path):
    shutil.copytree(packaged.package, tmp_path / "model")
    (tmp_path / "model" / "model.pt2").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="not the program that model.json describes"):
        PageHandler().initialize(context(tmp_path / "model"))


def test_the_handler_stays_thin():
    assert len(HANDLER.read_text().splitlines()) <= 80
