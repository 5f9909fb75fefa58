"""The TorchServe handler: it passes bytes to the reading path and gives each request its own answer."""

import json
import logging
import os
from pathlib import Path

import torch

from model.reading import PageReading

UNREADABLE = 422
"""The page cannot be read. TorchServe itself says 400 for a refused token; the two must not be mixed up."""
OUR_FAULT = 500

log = logging.getLogger(__name__)


class PageHandler:
    """Loads a package and reads pages; TorchServe makes one for each worker."""

    def initialize(self, context) -> None:
        """Load the package from the unpacked archive, and read a page once so that no request waits for it."""
        torch.set_num_threads(int(os.environ.get("VIZECG_TORCH_THREADS", "1")))
        folder = Path(context.system_properties["model_dir"])
        self.reading = PageReading.open(folder)
        self.reading.read((folder / "sample.png").read_bytes())

    def handle(self, requests: list[dict], context) -> list[str]:
        """Answer a batch of requests: JSON for each, with its own status."""
        answers = iter(self.reading.read_batch([body for request in requests if (body := page_of(request))]))
        replies = []
        for place, request in enumerate(requests):
            empty = ValueError("the request holds no image: send the file's bytes as the body, or as field 'data'")
            status, reply = reply_to(next(answers) if page_of(request) else empty)
            context.set_response_status(code=status, idx=place)
            context.set_response_content_type(place, "application/json")
            replies.append(json.dumps(reply))
        return replies


def page_of(request: dict) -> bytes:
    """Return the image file in a request, sent as the body or as form field `data`; empty for anything else."""
    body = request.get("data") or request.get("body")
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


def reply_to(answer: dict | Exception) -> tuple[int, dict]:
    """Turn an answer of the reading path into status and JSON."""
    if isinstance(answer, ValueError):
        return UNREADABLE, {"error": str(answer)}
    if isinstance(answer, Exception):
        log.error("a page broke the reader", exc_info=answer)
        return OUR_FAULT, {"error": "the page could not be read because of a fault of the server; its log says more"}
    return 200, answer
