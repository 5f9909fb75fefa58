"""What stands before TorchServe where its own address does not do: in a container, and for shadow mode.

TorchServe makes its keys up anew at each start and asks for one even at /ping, so that no probe and no second replica
could know them. The front takes a token of the operator's instead, says what probes ask (alive, loaded, ready), hands
the metrics on, and gives a copy of each page to a shadow. It reads no page itself.
"""

import asyncio
import hmac
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from serving.client import as_form
from serving.keys import bearer, fresh_key, read_key
from serving.metrics import scrape
from serving.shadow import Seen, Shadow
from serving.torchserve import MAX_BYTES, RESPONSE_TIMEOUT_S, Server, is_running

DOWN, UP, LOADED, READY = "down", "up", "loaded", "ready"
UPLOAD_SECONDS = 60.0
AT_ONCE = 64
"""Pages that are passed on at the same time, by threads of their own: those of FastAPI are left to the probes."""
PASSED_ON = ("explain", "format", "layout")
CODES = {401: "unauthorized", 408: "timeout", 413: "too_large", 503: "fault"}
"""Of what is not passed on; `unreadable` is a file's fault alone."""


def state_of(server: Server, name: str) -> str:
    """Say how far a server is: `down`, `up` without the model, `loaded` with no worker that answers yet, or `ready`."""
    try:
        default = server.management.default(name)
        if default is None:
            return UP
        return READY if server.management.ready(name, default) else LOADED
    except (requests.RequestException, RuntimeError, ValueError):
        return DOWN


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end what is within as Ctrl-C does: quietly, with everything behind it put away.

    uvicorn raises the signal again once it has answered what was under way; untouched, it would end the process there.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def make_front(server: Server, name: str, *, token: Callable[[], str], shadow: Shadow | None = None) -> FastAPI:
    """Make the application.

    Args:
        server: the TorchServe behind it.
        name: of the model.
        token: returns what callers must send as bearer token, now.
        shadow: is given a copy of each answered page.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=AT_ONCE))
    pages = CapacityLimiter(AT_ONCE)

    @app.get("/health/live")
    async def live() -> JSONResponse:
        alive = is_running(server.state)
        return JSONResponse({"state": "alive" if alive else DOWN}, 200 if alive else 503)

    @app.get("/health/ready")
    def ready() -> JSONResponse:
        state = state_of(server, name)
        return JSONResponse({"state": state}, 200 if state == READY else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        try:
            return PlainTextResponse(scrape(server.metrics) + shadow_metrics(shadow))
        except RuntimeError:
            return PlainTextResponse("", 503)

    @app.post(f"/predictions/{name}")
    async def predict(request: Request) -> Response:
        if not _may(request, token):
            return _refusal(401, "the token is missing or not accepted", {"WWW-Authenticate": "Bearer"})
        try:
            page = await _body(request)
        except TimeoutError:
            return _refusal(408, f"the file did not arrive within {UPLOAD_SECONDS:g} s; try again")
        if page is None:
            return _refusal(413, f"this file is too large: the limit is {MAX_BYTES // 1_000_000} MB; save it as JPEG")
        return await run_sync(_pass_on, session, server, name, request, page, shadow, limiter=pages)

    return app


def shadow_metrics(shadow: Shadow | None) -> str:
    """Return what a shadow has seen, in Prometheus' text format."""
    counts = {} if shadow is None else dict(shadow.counts)
    lines = [f'vizecg_shadow{{outcome="{outcome}"}} {count}' for outcome, count in sorted(counts.items())]
    return "\n".join(["# TYPE vizecg_shadow counter", *lines, ""]) if lines else ""


def _may(request: Request, token: Callable[[], str]) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return bool(given) and hmac.compare_digest(given.encode(), token().encode())


async def _body(request: Request) -> bytes | None:
    """Read a file as it comes in; None where it is beyond the limit."""
    data = bytearray()
    async with asyncio.timeout(UPLOAD_SECONDS):
        async for part in request.stream():
            data += part
            if len(data) > MAX_BYTES:
                return None
    return bytes(data)


def _pass_on(session: requests.Session, server: Server, name: str, request: Request, page: bytes,
             shadow: Shadow | None) -> Response:
    headers = {"Content-Type": request.headers.get("content-type", "application/octet-stream")}
    query = {option: request.query_params[option] for option in PASSED_ON if option in request.query_params}
    started = time.perf_counter()
    sent: dict = {"data": page}
    plain = "multipart" not in headers["Content-Type"]
    if query and plain:
        sent = as_form(page, query)
        del headers["Content-Type"]
    try:
        for _ in range(2):
            key = fresh_key(server.key_file, "inference")
            reply = session.post(f"{server.inference.rstrip('/')}/predictions/{name}", params=query,
                                 headers={**headers, **bearer(key)}, timeout=RESPONSE_TIMEOUT_S, **sent)
            # Somebody else may have had it renewed on the way, which ends the one that was sent.
            if reply.status_code != 400 or read_key(server.key_file, "inference") == key:
                break
    except (requests.RequestException, ValueError):
        return _refusal(503, "the reader does not answer at the moment; try again", {"Retry-After": "1"})
    if shadow is not None and plain and query.get("format", "json") == "json" and reply.status_code in (200, 422):
        seen = Seen(reply.status_code, reply.json(), (time.perf_counter() - started) * 1000)
        shadow.offer(page, seen, query.get("layout", ""))
    # TorchServe keeps the handler's content type to itself where the status is no success.
    fhir = query.get("format") == "fhir" and reply.status_code == 422
    kind = "application/fhir+json" if fhir else reply.headers.get("Content-Type")
    return Response(reply.content, reply.status_code, media_type=kind)


def _refusal(status: int, reason: str, headers: dict | None = None) -> JSONResponse:
    return JSONResponse({"error": reason, "code": CODES[status]}, status, {"Connection": "close", **(headers or {})})
