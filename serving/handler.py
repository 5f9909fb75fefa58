"""The TorchServe handler: it passes files to the reading path and gives each request its own answer."""

import json
import logging
import os
from pathlib import Path

import torch

from model.file_reading import FileReading, Request, error_answer
from serving.fhir import bundle, operation_outcome
from serving.metrics import Meter

UNREADABLE = 422
"""The file cannot be read. TorchServe itself says 400 for a refused token; the two must not be mixed up."""
OUR_FAULT = 500
FORMATS = {"json": "application/json", "fhir": "application/fhir+json"}
YES, NO = ("1", "true", "yes"), ("0", "false", "no", "")

log = logging.getLogger(__name__)


class PageHandler:
    """Loads a package and reads pages; TorchServe makes one for each worker."""

    def initialize(self, context) -> None:
        """Load the package from the unpacked archive, and read and explain a page so that no request waits for it."""
        torch.set_num_threads(int(os.environ.get("VIZECG_TORCH_THREADS", "1")))
        folder = Path(context.system_properties["model_dir"])
        self.reading = FileReading.open(folder)
        self.meter = Meter(self.reading.reading.meta["version"])
        self.reading.read((folder / "sample.png").read_bytes(), explain=True)

    def handle(self, requests: list[dict], context) -> list[str]:
        """Answer a batch of requests: JSON or FHIR for each, with its own status."""
        asked = [understand(request) for request in requests]
        answers = iter(self.reading.read_batch([what for what in asked if isinstance(what, Request)]))
        replies = []
        for place, (request, what) in enumerate(zip(requests, asked, strict=True)):
            kind = option(request, "format").lower() or "json"
            answer = next(answers) if isinstance(what, Request) else what
            status, reply = reply_to(answer, kind)
            if context.metrics is not None:
                self.meter.count(context.metrics, answer)
            context.set_response_status(code=status, idx=place)
            context.set_response_content_type(place, FORMATS.get(kind, FORMATS["json"]))
            replies.append(json.dumps(reply))
        return replies


def understand(request: dict) -> Request | ValueError:
    """Read a request: the file is its body or its form field `data`; the options may be in the query."""
    files = [part for name in ("body", "data") if isinstance(part := request.get(name), bytes | bytearray) and part]
    explain, kind = option(request, "explain").lower(), option(request, "format").lower()
    if not files:
        return ValueError("the request holds no image: send the file's bytes as the body, or as field 'data'")
    if explain not in (*YES, *NO):
        return ValueError(f"explain: must be one of {', '.join(filter(None, (*YES, *NO)))}")
    if kind not in (*FORMATS, ""):
        return ValueError(f"format: must be one of {', '.join(FORMATS)}")
    return Request(bytes(files[0]), explain in YES, option(request, "layout"))


def option(request: dict, name: str) -> str:
    """Return an option of the query, which TorchServe hands over as bytes; empty where it is not given."""
    value = request.get(name, b"")
    return bytes(value[:20]).decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


def reply_to(answer: dict | Exception, kind: str = "json") -> tuple[int, dict]:
    """Turn an answer of the reading path into status and JSON."""
    status = 200
    if isinstance(answer, ValueError):
        status, answer = UNREADABLE, error_answer(answer)
    elif isinstance(answer, Exception):
        log.error("a page broke the reader", exc_info=answer)
        reason = "the page could not be read because of a fault of the server; its log says more"
        status, answer = OUR_FAULT, {"error": reason, "code": "fault"}
    return status, (bundle(answer) if status == 200 else operation_outcome(answer)) if kind == "fhir" else answer
