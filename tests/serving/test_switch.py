"""A switch under load, the watch after it, a challenger in the shadow, and what stands before the server."""

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest
import requests

from serving.client import Client, Unavailable, file_token
from serving.front import make_front, state_of
from serving.keys import bearer
from serving.metrics import counted, scrape
from serving.rollout import load, switch, take_back, unload, watch
from serving.shadow import Shadow
from tests.components.conftest import packaged_otherwise
from tests.serving.fronts import running

pytestmark = [pytest.mark.live, pytest.mark.slow]
CLIENTS = 4
TOKEN = "a-token-of-the-operator"


@pytest.fixture(scope="module")
def sample(packaged):
    return (packaged.package / "sample.png").read_bytes()


@pytest.fixture
def first(server, packaged, serve_params):
    """The first package is the default before and after."""
    loaded = load(server, packaged.package, serve_params)
    switch(server, loaded)
    yield loaded
    for version in server.management.versions(loaded.name):
        if version != loaded.version:
            server.management.set_default(loaded.name, loaded.version)
            unload(server, loaded.name, version)


@contextmanager
def load_on(server, sample):
    """Clients that send pages one after the other without a second attempt; yields the statuses and versions."""
    seen, ended = [], threading.Event()

    def send():
        client = Client(server.inference, file_token(server.key_file), timeout_s=120, retries=0)
        while not ended.is_set():
            try:
                seen.append(client.predict(sample)["version"])
            except Exception as failure:
                seen.append(failure)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(CLIENTS):
            pool.submit(send)
        try:
            yield seen
        finally:
            ended.set()


def after_more(seen, count=2 * CLIENTS):
    """Wait until so many more answers have come."""
    wanted, until = len(seen) + count, time.monotonic() + 120
    while len(seen) < wanted and time.monotonic() < until:
        time.sleep(0.02)
    return seen[-1]


def test_no_request_is_lost_while_versions_are_switched_there_and_back(server, first, another, serve_params, sample):
    with load_on(server, sample) as seen:
        after_more(seen)
        second = load(server, another.package, serve_params)
        switch(server, second)
        assert watch(server, another.package, second, serve_params) >= 1
        after_more(seen)
        take_back(server, second)
        after_more(seen)
    assert set(seen) == {first.version, second.version}
    assert seen[0] == seen[-1] == first.version


def test_a_version_whose_answers_turn_is_noticed(server, first, another, serve_params, tmp_path):
    second = load(server, another.package, serve_params)
    switch(server, second)
    with pytest.raises(ValueError, match="came to read the sample page otherwise by 0.01"):
        watch(server, packaged_otherwise(another.package, tmp_path), second, serve_params)
    with pytest.raises(RuntimeError, match="failed at 1 pages after the switch"):
        watch(server, another.package, replace(second, faults=second.faults - 1), serve_params)
    server.management.scale(second.name, second.version, 0)
    with pytest.raises(RuntimeError, match="its workers ended soon after the switch"):
        watch(server, another.package, second, serve_params)
    assert state_of(server, second.name) == "loaded"
    server.management.scale(second.name, second.version, 1)
    server.management.set_default(first.name, first.version)
    assert state_of(server, second.name) == "ready" and state_of(server, "nobody") == "up"
    with pytest.raises(RuntimeError, match=f"version {first.version} answers, not"):
        watch(server, another.package, second, serve_params)


def test_prometheus_finds_what_was_read_and_refused(server, first, sample):
    def figures():
        text = scrape(server.metrics)
        return [counted(text, name, version=first.version, **labels) for name, labels in (
            ("vizecg_pages", {"outcome": "read"}), ("vizecg_pages", {"outcome": "unreadable"}),
            ("vizecg_quality_count", {}), ("vizecg_stage_seconds_count", {"stage": "locate"}))]

    client, before = Client(server.inference, file_token(server.key_file)), figures()
    client.predict(sample)
    with pytest.raises(ValueError):
        client.predict(b"junk")
    until = time.monotonic() + 20
    while (grown := [after - old for after, old in zip(figures(), before, strict=True)]) != [1, 1, 1, 1]:
        assert time.monotonic() < until, grown
        time.sleep(0.1)


def front_of(server, name, shadow=None):
    return running(make_front(server, name, token=lambda: TOKEN, shadow=shadow))


def test_the_front_asks_for_its_own_token_and_says_how_far_the_server_is(server, first, sample, tmp_path):
    with front_of(server, first.name) as address:
        place = f"{address}/predictions/{first.name}"
        for headers in ({}, bearer("wrong"), {"Authorization": "Bearer "}):
            assert requests.post(place, data=sample, headers=headers, timeout=60).status_code == 401
        good = requests.post(place, data=sample, headers=bearer(TOKEN), timeout=60)
        assert good.status_code == 200 and good.json()["version"] == first.version
        bad = requests.post(f"{place}?format=fhir", data=b"junk", headers=bearer(TOKEN), timeout=60)
        assert bad.status_code == 422 and bad.headers["Content-Type"] == "application/fhir+json"
        assert requests.get(f"{address}/health/live", timeout=60).status_code == 200
        assert requests.get(f"{address}/health/ready", timeout=60).json() == {"state": "ready"}
        assert "vizecg_pages" in requests.get(f"{address}/metrics", timeout=60).text
    with front_of(replace(server, state=tmp_path), first.name) as address:  # no process of a server is known there
        assert requests.get(f"{address}/health/live", timeout=60).status_code == 503


def test_a_challenger_reads_copies_and_answers_nobody(server, first, another, serve_params, sample, tmp_path):
    second = load(server, another.package, serve_params)
    challenger = Client(f"{server.inference}/predictions/{second.name}/{second.version}", file_token(server.key_file))
    shadow = Shadow(challenger, tmp_path / "shadow.jsonl")
    with front_of(server, first.name, shadow) as address:
        for page in (sample, b"junk", sample):
            reply = requests.post(f"{address}/predictions/{first.name}", data=page, headers=bearer(TOKEN), timeout=60)
            assert reply.json().get("version", first.version) == first.version
        until = time.monotonic() + 60
        while shadow.counts["same"] + shadow.counts["differ"] < 3 and time.monotonic() < until:
            time.sleep(0.05)
        unload(server, second.name, second.version)
        requests.post(f"{address}/predictions/{first.name}", data=sample, headers=bearer(TOKEN), timeout=60)
        summary = shadow.close()
    lines = [json.loads(line) for line in (tmp_path / "shadow.jsonl").read_text().splitlines()]
    assert summary["summary"]["copied"] == 4 and summary["summary"]["failed"] == 1
    assert lines[0]["versions"] == [first.version, second.version] and lines[0]["largest"] > 0
    assert lines[1]["status"] == [422, 422] and lines[1]["same"]
    assert lines[-1]["summary"] == summary["summary"] and not any("findings" in line for line in lines)


def test_a_killed_worker_costs_no_more_than_its_own_requests(server, first, sample):
    client = Client(server.inference, file_token(server.key_file), timeout_s=60, retries=6)
    before = server.management.workers(first.name, first.version)
    psutil.Process(before[0]).kill()
    answered = []
    for _ in range(4):
        with contextlib.suppress(Unavailable):  # HTTP 500, "Worker died": it had it in hand when the server noticed
            answered.append(client.predict(sample)["version"])
    assert answered in ([first.version] * 4, [first.version] * 3), "one request at most is lost"
    until = time.monotonic() + 120
    while len(now := server.management.workers(first.name, first.version)) < len(before) or before[0] in now:
        assert time.monotonic() < until, "it does not come back"
        time.sleep(0.2)
