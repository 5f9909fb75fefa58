"""A client of the served model: page files in, answers out, with token, retries and timeouts."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from serving.keys import bearer, fresh_key

DEFAULT_NAME = "vizecgnet"
REFUSED_TOKEN = (400, 401, 403)
"""What servers say to a missing, wrong or old token (TorchServe: 400)."""
MAY_PASS = (429, 502, 503, 504, 507)
"""Answers that another attempt may mend: the server is starting, full, or between two workers."""


class Unavailable(RuntimeError):
    """The server cannot be reached, or goes on failing."""


class Unreadable(ValueError):
    """The server cannot read this file; `code` is that of the answer's schema."""

    def __init__(self, reason: str, code: str):
        super().__init__(reason)
        self.code = code


class Refused(ValueError):
    """The server does not accept the token, or has no such model: no fault of any page."""


@dataclass
class Client:
    """Sends pages to one endpoint.

    `endpoint` is the server's address (http://HOST:PORT) or that of a model (…/predictions/NAME[/VERSION]).
    `token` returns the token to use now: `static_token`, `file_token`, or one's own.
    """

    endpoint: str
    token: Callable[[], str]
    timeout_s: float = 60.0
    retries: int = 3
    pause_s: float = 0.5
    """Before the second attempt; each further pause is twice as long."""
    session: requests.Session = field(default_factory=requests.Session, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.endpoint}: no address of a server; it is written http://HOST:PORT")

    def predict(self, page: bytes, *, explain: bool = False, fhir: bool = False, layout: str = "") -> dict:
        """Read one file.

        Args:
            page: the file's bytes.
            explain: ask for pictures of what was found.
            fhir: ask for a bundle of FHIR resources.
            layout: how the pages are arranged; empty: as the served package expects.

        Raises:
            ValueError: the server says that this page cannot be read, with its reason.
            Refused: the token is not accepted, even when read anew, there is no such model, or the server is of a
                release that reads one layout alone and would have misread the page.
            Unavailable: no answer in the given attempts.
        """
        asked = {"explain": "1" if explain else "", "format": "fhir" if fhir else "", "layout": layout}
        query = {option: value for option, value in asked.items() if value}
        reply = self._send(page, query)
        if reply.status_code in REFUSED_TOKEN:
            # The key file may have been renewed by another client between our reading it and our request.
            reply = self._send(page, query)
        if not reply.ok:
            raise _error(self.url, reply)
        answer = reply.json()
        if layout and _layouts(answer, fhir) - {layout}:
            raise Refused(f"{self.url}: does not read layout {layout}; deploy this release of the project there, or "
                          "leave the layout out")
        return answer

    @property
    def url(self) -> str:
        """Where pages are sent."""
        base = self.endpoint.rstrip("/")
        return base if urlsplit(base).path else f"{base}/predictions/{DEFAULT_NAME}"

    def _send(self, page: bytes, query: dict[str, str]) -> requests.Response:
        sent = as_form(page, query) if query else {"data": page}
        kind = {} if query else {"Content-Type": "application/octet-stream"}
        for attempt in range(self.retries + 1):
            try:
                reply = self.session.post(self.url, params=query, timeout=self.timeout_s,
                                          headers={**kind, **bearer(self.token())}, **sent)
            except requests.RequestException as error:
                failure = type(error).__name__
            else:
                if reply.status_code not in MAY_PASS:
                    return reply
                failure = f"HTTP {reply.status_code}"
            if attempt < self.retries:
                time.sleep(self.pause_s * 2 ** attempt)
        raise Unavailable(f"{self.url}: no answer after {self.retries + 1} attempts ({failure}); is the server running "
                          "there?")


def as_form(page: bytes, options: dict[str, str]) -> dict:
    """Return what requests needs to send a page with options: TorchServe hands a form's fields on, a query's not."""
    return {"files": {"data": ("page", page)}, "data": options}


def static_token(token: str) -> Callable[[], str]:
    """Use one token for good.

    Raises:
        ValueError: no header can hold it.
    """
    if not re.fullmatch(r"[\x20-\x7e]*", token):
        raise ValueError("--token: holds a line break or a letter that no HTTP header can; give the key alone")
    return lambda: token


def file_token(key_file: Path) -> Callable[[], str]:
    """Read the inference key from TorchServe's key file at each request: the server replaces it now and then."""
    return lambda: fresh_key(key_file, "inference")


def _layouts(answer: dict, fhir: bool) -> set[str | None]:
    """Return the layouts in which the pages of an answer were read; None is that of a server that says none."""
    if fhir:
        from serving.fhir import layouts  # brings torch, which a client otherwise does without

        return layouts(answer)
    return {page["page"].get("layout") for page in answer.get("pages", [answer]) if "findings" in page}


def _error(url: str, reply: requests.Response) -> Exception:
    try:
        body = reply.json()
    except ValueError:
        body = {}
    reason = body.get("error") or body.get("message") or reply.reason
    if reply.status_code in REFUSED_TOKEN:
        return Refused(f"{url}: the token is not accepted (HTTP {reply.status_code}); give the key file of the running "
                       "server, a current inference key, or the front's token (VIZECG_TOKEN)")
    if reply.status_code == 404:
        return Refused(f"{url}: no such model there (HTTP 404); is it deployed?")
    if reply.status_code < 500:
        return Unreadable(str(reason), str(body.get("code", "unreadable")))
    return Unavailable(f"{url}: HTTP {reply.status_code}, {reason}")
