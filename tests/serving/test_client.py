"""The client: what it sends, when it tries again, when it gives up, and what it says then."""

import json

import pytest

from serving.client import Client, Refused, Unavailable, Unreadable, file_token, static_token
from serving.fhir import bundle
from tests.serving.scripted import answering

MODEL = {"name": "vizecgnet", "digest": "ab" * 32}
GOOD = (200, {"findings": []})


def client(address, **changes):
    return Client(address, changes.pop("token", static_token("secret")), **{"pause_s": 0.01, **changes})


def test_a_page_is_sent_as_it_is_with_the_token():
    with answering([GOOD]) as server:
        assert client(server.address).predict(b"\x89PNG") == GOOD[1]
    (path, headers, body), = server.requests
    assert path == "/predictions/vizecgnet" and body == b"\x89PNG" and headers["Authorization"] == "Bearer secret"


def test_pictures_and_fhir_are_asked_for_in_the_query():
    with answering([GOOD]) as server:
        client(server.address).predict(b"x", explain=True)
        client(server.address).predict(b"x", fhir=True)
    assert [path.partition("?")[2] for path, _, _ in server.requests] == ["explain=1", "format=fhir"]


def read_as(layout):
    finding = {"label": "AFIB", "probability": 0.91, "threshold": 0.4, "present": True}
    return {"findings": [finding], "page": {"number": 1, "of": 1, "warnings": [], **layout}}


@pytest.mark.parametrize(("answer", "readable"), [
    (read_as({"layout": "6x2+1R"}), True), (read_as({}), False), (read_as({"layout": "3x4+1R"}), False),
    ({"pages": [{"error": "no ECG", "code": "no_ecg", "page": {"number": 1, "of": 2}},
                read_as({"layout": "6x2+1R"})]}, True),
    ({"pages": [read_as({"layout": "6x2+1R"}), read_as({})]}, False)])
@pytest.mark.parametrize("fhir", [False, True], ids=["JSON", "FHIR"])
def test_a_server_that_would_misread_another_layout_is_refused(answer, readable, fhir):
    said = bundle({"model": MODEL, "version": "1a2b", **answer}) if fhir else answer
    with answering([(200, said)]) as server:
        if readable:
            assert client(server.address).predict(b"x", layout="6x2+1R", fhir=fhir) == said
        else:
            with pytest.raises(Refused, match=r"does not read layout 6x2\+1R"):
                client(server.address).predict(b"x", layout="6x2+1R", fhir=fhir)
    path, _, body = server.requests[0]
    assert path.endswith("layout=6x2%2B1R") and b"6x2+1R" in body


def test_the_address_of_one_version_is_kept():
    with answering([GOOD]) as server:
        client(f"{server.address}/predictions/other/1.0/").predict(b"x")
    assert server.requests[0][0] == "/predictions/other/1.0"


@pytest.mark.parametrize("status", [429, 502, 503, 504, 507])
def test_what_may_pass_is_tried_again(status):
    with answering([(status, {}), (status, {}), GOOD]) as server:
        assert client(server.address).predict(b"x") == GOOD[1]
    assert len(server.requests) == 3


def test_it_gives_up_after_its_attempts():
    with answering([(503, {})]) as server, pytest.raises(Unavailable, match=r"after 3 attempts \(HTTP 503\)"):
        client(server.address, retries=2).predict(b"x")
    assert len(server.requests) == 3


def test_a_slow_server_is_not_waited_for():
    with answering([GOOD], delay_s=1.0) as server, pytest.raises(Unavailable, match="ReadTimeout"):
        client(server.address, timeout_s=0.1, retries=0).predict(b"x")


def test_no_server_at_all_is_named():
    with answering([GOOD]) as server:
        address = server.address
    with pytest.raises(Unavailable, match="ConnectionError"):
        client(address, retries=0).predict(b"x")


def test_a_page_that_cannot_be_read_is_not_tried_again():
    with answering([(422, {"error": "not a readable picture"})]) as server, pytest.raises(
            ValueError, match="^not a readable picture$"):
        client(server.address).predict(b"x")
    assert len(server.requests) == 1


def test_why_a_page_cannot_be_read_has_a_code():
    with answering([(422, {"error": "no ECG grid here", "code": "no_ecg"})]) as server, \
            pytest.raises(Unreadable) as why:
        client(server.address).predict(b"x")
    assert why.value.code == "no_ecg"


def test_a_fault_of_the_server_is_no_fault_of_the_page():
    with answering([(500, {"error": "a fault"})]) as server, pytest.raises(Unavailable, match="HTTP 500, a fault"):
        client(server.address).predict(b"x")


def test_no_such_model_is_named():
    with answering([(404, {"message": "Model not found"})]) as server, pytest.raises(ValueError, match="no such model"):
        client(server.address).predict(b"x")


def test_a_renewed_key_is_read_anew_and_the_page_sent_again(tmp_path):
    """Another client renews the key while ours is under way: the first answer is a refusal."""
    key_file = tmp_path / "key_file.json"

    def write(key):
        key_file.write_text(json.dumps({"inference": {"key": key, "expiration time": "2999-01-01T00:00:00.000Z"}}))

    def token():
        key = file_token(key_file)()
        write("new")
        return key

    write("old")
    with answering([(400, {"type": "InvalidKeyException"}), GOOD]) as server:
        assert client(server.address, token=token).predict(b"x") == GOOD[1]
    assert [headers["Authorization"] for _, headers, _ in server.requests] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("token", ["tökén", "two\nlines", "€"])
def test_a_token_that_no_header_holds_is_refused_before_a_page_is_sent(token):
    with pytest.raises(ValueError, match="^--token: holds a line break or a letter") as said:
        static_token(token)
    assert token not in str(said.value)


def test_a_refusal_says_what_to_give_and_not_the_token():
    with answering([(400, {})]) as server, pytest.raises(Refused, match="token is not accepted") as caught:
        client(server.address).predict(b"x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"management": {}}', "{"])
def test_a_damaged_key_file_is_named(tmp_path, text):
    (tmp_path / "key_file.json").write_text(text)
    with pytest.raises(ValueError, match="no inference key can be read"):
        file_token(tmp_path / "key_file.json")()


def test_a_missing_key_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="state folder of a running TorchServe"):
        file_token(tmp_path / "none.json")()
