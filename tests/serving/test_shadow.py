"""What a shadow says about two answers, that it holds nobody up, and what the front refuses before it passes on."""

import json
import time
from contextlib import contextmanager

import pytest
import requests

from serving.client import Client, static_token
from serving.container import token_from
from serving.front import make_front
from serving.keys import KEY_FILE
from serving.management import Management
from serving.shadow import Seen, Shadow, compare
from serving.torchserve import Server
from tests.serving.fronts import running
from tests.serving.scripted import answering


def answer(version, **probabilities):
    return {"version": version, "findings": [{"label": name, "probability": value, "present": value >= 0.5}
                                             for name, value in probabilities.items()]}


def test_a_decision_that_changed_is_named_and_a_probability_that_moved_is_measured():
    line = compare(Seen(200, answer("a", AFIB=0.6, MI=0.2), 10.0), Seen(200, answer("b", AFIB=0.4, MI=0.3), 20.0))
    assert line == {"status": [200, 200], "ms": [10.0, 20.0], "versions": ["a", "b"], "same": False,
                    "changed": ["AFIB"], "largest": 0.2}
    assert compare(Seen(200, answer("a", AFIB=0.6), 1), Seen(200, answer("b", AFIB=0.7), 1))["same"]
    assert compare(Seen(200, answer("a", AFIB=0.6), 1), Seen(200, answer("b", MI=0.7), 1))["changed"] == ["AFIB", "MI"]


def test_one_that_reads_what_the_other_refuses_differs():
    refused = Seen(422, {"error": "no grid", "code": "no_ecg"}, 1)
    assert compare(refused, refused)["same"]
    assert not compare(refused, Seen(200, answer("b", MI=0.7), 1))["same"]
    pages = {"version": "a", "pages": [answer("a", MI=0.7), refused.answer]}
    assert compare(Seen(200, pages, 1), Seen(200, {**pages, "pages": pages["pages"][::-1]}, 1))["changed"] == ["MI"]


def test_a_slow_challenger_holds_nobody_up(tmp_path):
    with answering([(200, answer("b", MI=0.7))], delay_s=0.5) as server:
        shadow = Shadow(Client(server.address, static_token("x"), retries=0), tmp_path / "log.jsonl", waiting=2)
        started = time.monotonic()
        for _ in range(20):
            shadow.offer(b"page", Seen(200, answer("a", MI=0.7), 1.0))
        assert time.monotonic() - started < 20 * 0.5
        seen = shadow.close()["summary"]
    assert seen["skipped"] > 0 and seen["copied"] + seen["skipped"] == 20 and seen["same"] == seen["copied"]


def test_a_challenger_that_is_not_there_is_counted_and_no_more(tmp_path):
    with answering([(200, {})]) as server:
        address = server.address
    shadow = Shadow(Client(address, static_token("x"), retries=0), tmp_path / "log.jsonl")
    shadow.offer(b"page", Seen(200, answer("a", MI=0.7), 1.0))
    assert shadow.close()["summary"] == {"copied": 1, "failed": 1}
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])["failed"] == "Unavailable"


def test_a_log_that_cannot_be_written_any_more_is_said_at_the_end_and_holds_nobody_up(tmp_path):
    (tmp_path / "logs").mkdir()
    with answering([(200, answer("b", MI=0.7))]) as server:
        challenger = Client(server.address, static_token("x"), retries=0)
        shadow = Shadow(challenger, tmp_path / "logs" / "log.jsonl", waiting=2)
        (tmp_path / "logs").rmdir()
        for _ in range(5):
            shadow.offer(b"page", Seen(200, answer("a", MI=0.7), 1.0))
            time.sleep(0.05)
        with pytest.raises(FileNotFoundError, match="log.jsonl"):
            shadow.close()
    assert shadow.counts["unlogged"] == shadow.counts["copied"] == shadow.counts["same"] > 1


@pytest.fixture
def behind(tmp_path):
    """The state folder of a server, without one."""
    keys = {kind: {"key": f"{kind} key", "expiration time": "2999-01-01T00:00:00.000Z"}
            for kind in ("inference", "management")}
    (tmp_path / KEY_FILE).write_text(json.dumps(keys))
    return tmp_path


@contextmanager
def front(state, address, **changes):
    server = Server(state, address, Management(address, state / KEY_FILE), address)
    with running(make_front(server, "reader", token=lambda: "operator's token", **changes)) as place:
        yield place


def post(place, page, token="operator's token"):
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return requests.post(place, data=page, headers=headers, timeout=60)


def test_the_front_takes_the_operators_token_and_passes_on_with_the_servers_key(behind, tmp_path):
    with answering([(200, answer("a", MI=0.7))]) as server:
        shadow = Shadow(Client(server.address, static_token("x"), retries=0), tmp_path / "log.jsonl")
        with front(behind, server.address, shadow=shadow) as place:
            for token in (None, "", "wrong", "inference key"):
                reply = post(f"{place}/predictions/reader", b"page", token)
                assert reply.status_code == 401 and "token" in reply.json()["error"]
                assert reply.json()["code"] == "unauthorized"
            assert not server.requests
            reply = post(f"{place}/predictions/reader?explain=1&url=x", b"page")
        shadow.close()
    assert reply.json() == answer("a", MI=0.7) and shadow.counts["same"] == 1
    path, headers, body = server.requests[0]
    assert path == "/predictions/reader?explain=1" and b"page" in body and b'name="explain"' in body
    assert headers["Authorization"] == "Bearer inference key"


def test_a_copy_is_read_in_the_layout_that_was_asked_for(behind, tmp_path):
    read = {**answer("a", MI=0.7), "page": {"layout": "3x4+2R"}}
    with answering([(200, read)]) as server:
        challenger = Client(f"{server.address}/predictions/other", static_token("x"), retries=0)
        shadow = Shadow(challenger, tmp_path / "log.jsonl")
        with front(behind, server.address, shadow=shadow) as place:
            assert post(f"{place}/predictions/reader?layout=3x4%2B2R", b"page").json() == read
        shadow.close()
    assert shadow.counts["same"] == 1
    assert {path for path, _, _ in server.requests} == {"/predictions/reader?layout=3x4%2B2R",
                                                        "/predictions/other?layout=3x4%2B2R"}


def test_the_front_says_what_is_wrong_behind_it(behind, monkeypatch):
    with answering([(200, {})]) as server:
        address = server.address
    monkeypatch.setattr("serving.front.MAX_BYTES", 10)
    with front(behind, address) as place:
        assert post(f"{place}/predictions/reader", b"page").status_code == 503
        assert requests.get(f"{place}/health/live", timeout=60).status_code == 503
        ready = requests.get(f"{place}/health/ready", timeout=60)
        assert (ready.status_code, ready.json()) == (503, {"state": "down"})
        assert requests.get(f"{place}/metrics", timeout=60).status_code == 503
        large = post(f"{place}/predictions/reader", b"x" * 11)
    assert large.status_code == 413 and "too large" in large.json()["error"] and large.json()["code"] == "too_large"


def test_a_token_that_is_missing_or_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mount the Secret"):
        token_from(tmp_path / "none")
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(ValueError, match="fewer than 16 characters"):
        token_from(tmp_path / "token")
    (tmp_path / "token").write_text("a" * 32 + "\n")
    assert token_from(tmp_path / "token") == "a" * 32
