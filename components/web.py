"""web: the page on which a person drops or photographs an ECG page and sees the findings."""

import functools
import socket
from pathlib import Path

from components.predict import reader


def run(*, host: str, port: int, package: Path | None = None, endpoint: str | None = None, token: str | None = None,
        key_file: Path | None = None, layout: str | None = None) -> None:
    """Serve the page until the process is told to stop; arguments as those of `components.predict.run`.

    Raises:
        ValueError: the port is taken or the address is not ours, or what `reader` refuses.
    """
    from model.reading import read_meta
    from serving.web.app import serve

    read = functools.partial(reader(package, endpoint, token, key_file, layout), explain=True)
    refuse_taken(host, port)
    if package is not None:
        # So that nobody waits for what is loaded when a page is first read and explained.
        read((package / "sample.png").read_bytes(), layout=read_meta(package)["page"]["layout"])
    print(f"web: http://{host}:{port} (stop with Ctrl-C)", flush=True)
    serve(read, host=host, port=port)


def refuse_taken(host: str, port: int) -> None:
    """Refuse an address at which nobody can listen, before anything is made ready for it.

    Raises:
        ValueError: the port is taken or is none, or the address is not ours.
    """
    try:
        socket.create_server((host, port)).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"--port: cannot listen at {host}:{port} ({error}); give another") from None
