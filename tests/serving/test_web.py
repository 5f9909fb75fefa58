"""The web page without a browser: what it answers, refuses before reading, tells a browser, and keeps to itself."""

import json
import logging
import re
import socket

import pytest
import requests

from ecg.labels import PTBXL_SUPERCLASSES
from ecg.paper.layout import LAYOUTS
from ecg.snomed import snomed_scheme
from ecg.sources import code15
from ecg.sources.simulator import cohort
from serving.client import Refused, Unavailable, Unreadable
from serving.web import app as web
from serving.web.app import CONTENT_TYPE, HEADERS, STATIC, make_app
from serving.web.words import words
from tests.serving.fronts import running

ANSWERS = {b"page": {"findings": []}, b"no ecg": Unreadable("no ECG grid here", "no_ecg"),
           b"junk": ValueError("image: not a readable picture"), b"locked": Refused("token secret-token"),
           b"away": Unavailable("http://inner:8080: no answer"), b"fault": KeyError("/patients/doe")}


def read(data, layout="3x4+1R"):
    answer = ANSWERS[data]
    if data == b"page":
        return {**answer, "page": {"layout": layout}}
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture(scope="module")
def address():
    """The application on a real server."""
    with running(make_app(read)) as address:
        yield address


def send(address, data, path="/read", **headers):
    return requests.post(f"{address}{path}", data=data, headers={"Content-Type": CONTENT_TYPE, **headers}, timeout=30)


def connected(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


@pytest.mark.parametrize(("data", "status", "said"), [
    (b"page", 200, '"findings":[]'), (b"no ecg", 422, '"code":"no_ecg"'), (b"junk", 422, '"not a readable picture"'),
    (b"locked", 502, '"code":"fault"'), (b"away", 503, "try again in a minute"), (b"fault", 500, '"code":"fault"')])
def test_each_outcome_has_its_status_and_shows_no_inner_detail(address, data, status, said, caplog):
    with caplog.at_level(logging.DEBUG):
        reply = send(address, data)
    assert reply.status_code == status and said in reply.text
    for text in (reply.text, caplog.text):
        assert not any(secret in text for secret in ("secret-token", "inner:8080", "patients"))


def test_the_layout_that_is_asked_for_reaches_the_reader_and_each_there_is_can_be_chosen(address):
    asked = {query: send(f"{address}/read?{query}", b"page", path="").json()["page"]["layout"]
             for query in ("", "layout=", "layout=6x2%2B1R")}
    assert asked == {"": "3x4+1R", "layout=": "3x4+1R", "layout=6x2%2B1R": "6x2+1R"}
    offered = re.findall(r'<option value="(.+)">', (STATIC / "index.html").read_text())
    assert sorted(offered) == sorted(LAYOUTS)


def test_every_answer_carries_the_security_headers(address):
    for path in ("/", "/static/page.js", "/health", "/nothing"):
        reply = requests.get(address + path, timeout=30)
        assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS, path
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_the_page_loads_nothing_from_elsewhere():
    for file in STATIC.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and " style=" not in text and " onclick" not in text, file


def test_too_large_a_file_is_refused_before_it_is_read(address, monkeypatch):
    monkeypatch.setattr(web.limits, "MAX_BYTES", 1000)
    with connected(address) as raw:
        raw.sendall(f"POST /read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {CONTENT_TYPE}\r\n"
                    "Content-Length: 9000000000\r\n\r\n".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")
    parts = (b"x" * 400 for _ in range(5))  # sent in chunks, without saying how much comes
    assert send(address, parts).status_code == 413


def test_a_file_that_never_arrives_is_not_waited_for(address, monkeypatch):
    monkeypatch.setattr(web, "UPLOAD_SECONDS", 0.2)
    with connected(address) as raw:
        raw.sendall(f"POST /read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {CONTENT_TYPE}\r\n"
                    "Content-Length: 10\r\n\r\nabc".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 408")


def test_other_sites_can_neither_post_nor_borrow_the_name(address):
    assert send(address, b"page", **{"Content-Type": "text/plain"}).status_code == 415
    assert requests.get(address, headers={"Host": "evil.example"}, timeout=30).status_code == 400


def test_there_are_no_pages_of_the_library(address):
    assert [requests.get(f"{address}/{path}", timeout=30).status_code
            for path in ("docs", "redoc", "openapi.json", "static/%2e%2e/app.py")] == [404] * 4
    assert json.loads(requests.get(f"{address}/health", timeout=30).text) == {"status": "ok"}


@pytest.mark.parametrize("labels", [PTBXL_SUPERCLASSES, snomed_scheme("scored").names, snomed_scheme("cpsc2018").names,
                                    code15.FINDINGS, cohort.FINDINGS])
def test_every_finding_of_a_common_scheme_has_plain_words(labels):
    assert set(labels) <= words().keys()
