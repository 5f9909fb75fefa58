"""The web page for people: a page file in, findings with words, bars and pictures out.

It reads with a package on this machine or passes on to a served model. Everything that a browser loads comes from
`static/`; nothing of a file is kept, and neither its name nor its content reaches a log.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ecg.paper import limits
from model.file_reading import error_answer
from serving.client import Refused, Unavailable

STATIC = Path(__file__).parent / "static"
CONTENT_TYPE = "application/octet-stream"
UPLOAD_SECONDS = 60.0
AT_ONCE = 2
"""Files read at the same time; others wait."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()"}

Read = Callable[..., dict]
log = logging.getLogger(__name__)


class _Turned(Exception):
    """A request that is answered without looking at its file."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


def make_app(read: Read, *, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> FastAPI:
    """Make the application.

    Args:
        read: takes a file's bytes, and `layout` where another is asked for, and returns its answer with pictures;
            raises a ValueError where it cannot be read.
        hosts: names under which a browser may ask; another site's name that leads here is refused.
    """
    # No pages of FastAPI's own: they load scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    turns = asyncio.Semaphore(AT_ONCE)

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/health")
    def health() -> dict:
        return {"status": "ok"}

    @app.post("/read")
    async def read_file(request: Request) -> JSONResponse:
        try:
            data = await _body(request)
        except _Turned as turned:
            # What is left of the file is not read: the connection ends here.
            return JSONResponse({"error": str(turned), "code": "unreadable"}, turned.status, {"Connection": "close"})
        async with turns:
            layout = request.query_params.get("layout", "")
            status, answer = await run_in_threadpool(_attempt, read, data, **({"layout": layout} if layout else {}))
        return JSONResponse(answer, status)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.middleware("http")
    async def secure(request: Request, call_next) -> Response:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    return app


async def _body(request: Request) -> bytes:
    """Read a file as it comes in, no further than the limit."""
    # A page of another site can send forms and plain text unasked, but not this type.
    if request.headers.get("content-type") != CONTENT_TYPE:
        raise _Turned(415, f"send the file's bytes as {CONTENT_TYPE}")
    limit = limits.MAX_BYTES
    too_large = _Turned(413, f"this file is too large: the limit is {limit // 1_000_000} MB; save it as JPEG")
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for part in request.stream():
                data += part
                if len(data) > limit:
                    raise too_large
    except TimeoutError:
        raise _Turned(408, f"the file did not arrive within {UPLOAD_SECONDS:g} s; try again") from None
    return bytes(data)


def _attempt(read: Read, data: bytes, **options: str) -> tuple[int, dict]:
    """Read a file; returns status and answer."""
    try:
        return 200, read(data, **options)
    except Refused:
        log.error("the served model refuses our token")
        return 502, {"error": "the reader does not let this page in; tell whoever runs it", "code": "fault"}
    except ValueError as error:
        return 422, error_answer(error)
    except Unavailable:
        log.error("the served model does not answer")
        return 503, {"error": "the reader does not answer at the moment; try again in a minute", "code": "fault"}
    except Exception as error:
        log.error("a file broke the reader: %s", type(error).__name__)
        return 500, {"error": "the reader failed at this file; its log says more", "code": "fault"}


def serve(read: Read, *, host: str, port: int) -> None:
    """Serve the page until the process is told to stop (Ctrl-C or SIGTERM)."""
    import uvicorn

    hosts = ("127.0.0.1", "localhost", *({host} - {"0.0.0.0", "::"}))
    # A line a request would say who asked; our own lines say what went wrong, and nothing of the file.
    uvicorn.run(make_app(read, hosts=hosts), host=host, port=port, access_log=False, log_level="warning",
                limit_concurrency=64, timeout_keep_alive=10, timeout_graceful_shutdown=30, server_header=False)
