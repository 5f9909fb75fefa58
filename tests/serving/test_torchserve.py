"""A real TorchServe: who may do what, mixed batches, keys that run out, and how it is started, reached and stopped."""

import io
import json
import socket
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from model.reading import PageReading, probabilities
from serving.client import Client, Refused, file_token, static_token
from serving.keys import bearer, read_key
from serving.management import Management, ServerRefused
from serving.rollout import load, smoke_test
from serving.torchserve import MAX_BYTES, PID_FILE, reach, stop
from tests.components.conftest import packaged_otherwise
from tests.ecg.paper.test_page_files import dicom
from tests.serving.conftest import deploy_params

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(scope="module")
def sample(packaged):
    return (packaged.package / "sample.png").read_bytes()


@pytest.fixture
def client(server):
    return Client(server.inference, file_token(server.key_file), timeout_s=120)


def url(server):
    return f"{server.inference}/predictions/vizecgnet"


def test_the_served_answer_is_the_packages(server, client, packaged, sample):
    served, ours = client.predict(sample), PageReading.open(packaged.package).read(sample)
    assert probabilities(served) == pytest.approx(probabilities(ours), abs=1e-5)
    assert served["model"] == ours["model"] and served["version"] == ours["version"]


def test_pictures_fhir_and_another_layout_come_when_the_form_asks(server, client, sample):
    assert client.predict(sample, explain=True)["explain"]["why_png"]
    assert client.predict(sample, fhir=True)["resourceType"] == "Bundle"
    assert client.predict(sample, layout="6x2+1R")["page"]["layout"] == "6x2+1R"
    form = requests.post(url(server), files={"data": sample}, data={"explain": "1"}, timeout=120,
                         headers=bearer(read_key(server.key_file, "inference")))
    assert form.json()["explain"]["page_png"]
    refused = requests.post(url(server), files={"data": b"junk"}, data={"format": "fhir"}, timeout=120,
                            headers=bearer(read_key(server.key_file, "inference")))
    assert refused.status_code == 422 and refused.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"Authorization": "Bearer "}])
@pytest.mark.parametrize("path", ["/predictions/vizecgnet", "/ping"])
def test_without_the_token_there_is_no_answer(server, sample, headers, path):
    reply = requests.post(server.inference + path, data=sample, headers=headers, timeout=60)
    assert reply.status_code == 400 and "findings" not in reply.text


def test_a_wrong_token_is_told_apart_from_a_bad_page(server, sample):
    with pytest.raises(Refused):
        Client(server.inference, static_token("wrong")).predict(sample)


@pytest.mark.parametrize("key", ["inference", None])
def test_management_wants_its_own_key(server, key):
    headers = bearer(read_key(server.key_file, key)) if key else {}
    assert requests.get(f"{server.management.address}/models", headers=headers, timeout=60).status_code == 400


def test_management_is_not_reached_from_outside_loopback(server):
    outside = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} | {"127.0.0.2"}
    port = urlsplit(server.management.address).port
    for address in outside - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, port), timeout=5):
            pass


@pytest.mark.parametrize("name", ["management", "metrics"])
def test_open_management_is_refused_before_anything_starts(tmp_path, name):
    params = replace(deploy_params(), **{name: "http://0.0.0.0:8081"})
    with pytest.raises(ValueError, match=f"deploy.{name}: must be on loopback"), reach(tmp_path / "state", params):
        pass
    assert not (tmp_path / "state").exists()


def test_archives_from_elsewhere_are_refused(server, packaged, tmp_path):
    archive = packaged.package / "vizecgnet.mar"
    before = server.management.versions("vizecgnet")
    for place in (archive.as_uri(), f"http://127.0.0.1:{urlsplit(server.inference).port}/x.mar", f"../{archive.name}",
                  str(archive), "https://example.org/x.mar"):
        with pytest.raises(ServerRefused) as caught:
            server.management.register(place, "intruder", workers=1, batch_size=1, max_batch_delay_ms=1,
                                       startup_timeout_s=60, response_timeout_s=60)
        assert 400 <= caught.value.status < 500
    assert server.management.versions("vizecgnet") == before and server.management.versions("intruder") == {}


def test_a_mixed_batch_answers_each_for_itself(server, client, sample):
    expected = probabilities(client.predict(sample))
    key = read_key(server.key_file, "inference")
    bodies = [sample, b"junk", sample, sample[:4000], sample, b"", sample, sample]
    with ThreadPoolExecutor(len(bodies)) as pool:
        replies = list(pool.map(lambda body: requests.post(url(server), data=body, headers=bearer(key), timeout=120),
                                bodies))
    assert [reply.status_code for reply in replies] == [200, 422, 200, 422, 200, 422, 200, 200]
    for reply in replies:
        if reply.ok:
            assert probabilities(reply.json()) == pytest.approx(expected, abs=1e-5)
        else:
            assert len(reply.json()["error"].splitlines()) == 1


def test_a_form_field_is_taken_too(server, sample):
    reply = requests.post(url(server), files={"data": ("page.png", sample)}, timeout=120,
                          headers=bearer(read_key(server.key_file, "inference")))
    assert reply.status_code == 200


def test_a_scan_beyond_the_default_limit_arrives_and_one_beyond_ours_does_not(server, sample):
    headers = bearer(read_key(server.key_file, "inference"))
    assert requests.post(url(server), data=sample + bytes(8_000_000), headers=headers, timeout=120).status_code == 200
    try:
        reply = requests.post(url(server), data=bytes(MAX_BYTES + 1_000_000), headers=headers, timeout=120)
    except requests.ConnectionError:
        return  # It may hang up before it has read everything.
    assert reply.status_code == 413


@pytest.mark.parametrize("kind", ["inference", "management"])
def test_a_key_that_ran_out_is_renewed_and_the_old_one_worthless(server, client, sample, kind):
    keys = json.loads(server.key_file.read_text())
    old = keys[kind]["key"]
    keys[kind]["expiration time"] = "2000-01-01T00:00:00.000Z"
    server.key_file.write_text(json.dumps(keys))
    assert client.predict(sample) and server.management.versions("vizecgnet")
    assert read_key(server.key_file, kind) != old
    place = {"inference": f"{server.inference}/ping", "management": f"{server.management.address}/models"}[kind]
    assert requests.get(place, headers=bearer(old), timeout=60).status_code == 400


def test_a_key_ends_by_the_servers_own_clock(tmp_path):
    with reach(tmp_path / "state", deploy_params(token_minutes=0.2)) as server:
        try:
            key = read_key(server.key_file, "inference")
            ping = partial(requests.get, f"{server.inference}/ping", headers=bearer(key), timeout=60)
            replies, end = [ping()], time.monotonic() + 60
            while replies[-1].status_code == 200 and time.monotonic() < end:
                time.sleep(0.5)
                replies.append(ping())
            assert len(replies) > 1 and replies[-1].status_code == 400 and "expired" in replies[-1].text.lower()
        finally:
            stop(server.state)


def test_logs_are_json_and_hold_no_key(server, client, sample):
    client.predict(sample)
    keys = [entry["key"] for entry in json.loads(server.key_file.read_text()).values()]
    texts = {file.name: file.read_text() for file in (server.state / "logs").iterdir()}
    assert not [name for name, text in texts.items() if any(key in text for key in keys)]
    lines = [json.loads(line) for name in ("server.jsonl", "model.jsonl") for line in texts[name].splitlines()]
    assert any(line["logger"] == "ACCESS_LOG" and '"POST /predictions' in line["message"] for line in lines)


def test_logs_hold_nothing_of_a_file(server, sample):
    """Neither its name nor what is in it, of files that are read, refused and damaged."""
    pixels = np.asarray(Image.open(io.BytesIO(sample)).convert("RGB"))
    noted = PngInfo()
    noted.add_text("Patient", "DOE^JOHN")
    tagged = io.BytesIO()
    Image.fromarray(pixels).save(tagged, "PNG", pnginfo=noted)
    odd = {"PatientName": "DOE^JOHN", "PatientID": "DOE-1950", "PatientBirthDate": "DOE-1950"}
    with warnings.catch_warnings(action="ignore"):
        files = [tagged.getvalue(), tagged.getvalue()[:5000], b"DOE", dicom(pixels, **odd), dicom(pixels, **odd)[:-500],
                 dicom(None, **odd)]
    headers = bearer(read_key(server.key_file, "inference"))
    statuses = [requests.post(url(server), files={"data": ("DOE JOHN.png", data)}, timeout=120,
                              headers=headers).status_code for data in files]
    assert statuses == [200, 422, 422, 200, 422, 422]
    logs = {file.name: file.read_text() for file in (server.state / "logs").iterdir()}
    assert not [name for name, text in logs.items() if "DOE" in text]


def test_state_and_keys_are_for_the_owner_alone(server):
    assert server.state.stat().st_mode & 0o077 == 0 and server.key_file.stat().st_mode & 0o077 == 0


def test_a_running_server_is_reached_and_not_started_again(server, serve_params):
    pid = json.loads((server.state / PID_FILE).read_text())["pid"]
    with reach(server.state, serve_params) as again:
        assert json.loads((again.state / PID_FILE).read_text())["pid"] == pid


@pytest.mark.parametrize("with_keys", [False, True])
def test_another_state_does_not_take_a_running_server_over(server, serve_params, tmp_path, with_keys):
    state = tmp_path / "other"
    state.mkdir()
    if with_keys:
        key = {"key": "x", "expiration time": "2999-01-01T00:00:00.000Z"}
        keys = {"inference": key, "management": key}
        (state / "key_file.json").write_text(json.dumps(keys))
    with pytest.raises(ValueError, match="another server answers"), reach(state, serve_params):
        pass
    assert stop(state) is False and requests.get(f"{server.inference}/ping", timeout=60).status_code == 400


def test_a_server_that_does_not_come_up_says_where_its_log_is(tmp_path):
    params = deploy_params()
    with socket.create_server(("127.0.0.1", urlsplit(params.management).port)), pytest.raises(
            RuntimeError, match=r"TorchServe .*; see .*/logs"), reach(tmp_path / "state", params):
        pass
    assert not (tmp_path / "state" / PID_FILE).exists()


def test_a_torn_note_of_the_process_is_as_none(tmp_path):
    (tmp_path / PID_FILE).write_text("")
    assert stop(tmp_path) is False


def test_a_server_that_ends_is_named_and_what_was_asked_of_it(server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(RuntimeError, match=rf"switch a to 1: TorchServe at {address} does not answer \(C"):
        Management(address, server.key_file).set_default("a", "1")


def test_a_version_that_answers_wrongly_is_unloaded_again(server, client, packaged, another, serve_params, sample,
                                                            tmp_path):
    before, answer = server.management.versions("vizecgnet"), client.predict(sample)
    with pytest.raises(ValueError, match="deploy.parity: the code here reads the sample page otherwise .* by 0.01"):
        load(server, packaged_otherwise(another.package, tmp_path), serve_params)
    assert server.management.versions("vizecgnet") == before
    assert client.predict(sample)["findings"] == answer["findings"]
    assert {file.name for file in server.model_store.iterdir()} == {f"vizecgnet-{version}.mar" for version in before}
    served = load(server, packaged.package, serve_params)
    with pytest.raises(ValueError, match="deploy.parity: the server's answer to the sample page differs"):
        smoke_test(server, another.package, served, limit=serve_params.parity)
