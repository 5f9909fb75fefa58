"""A real HTTP server that gives prepared answers, for what a real TorchServe cannot be made to say on demand."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Scripted:
    """Its address, and what it was sent: (path, headers, body)."""

    address: str
    requests: list[tuple[str, dict, bytes]] = field(default_factory=list)


@contextmanager
def answering(script: list[tuple[int, dict]], *, delay_s: float = 0.0) -> Iterator[Scripted]:
    """Serve the script's answers, one a request, the last one for ever."""
    left = list(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            scripted.requests.append((self.path, dict(self.headers), body))
            time.sleep(delay_s)
            status, answer = left.pop(0) if len(left) > 1 else left[0]
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, *_):
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scripted = Scripted(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
