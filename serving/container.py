"""One package served in a container: `python -m serving.container --package DIR --token-file FILE`.

TorchServe listens on loopback only; the front of `serving.front` is what others reach. SIGTERM: no new requests, those
under way are answered, then TorchServe and its workers are stopped.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from model.params import DeployParams
from serving.archive import with_archive
from serving.front import make_front, stoppable
from serving.rollout import load, switch
from serving.torchserve import reach, stop

LEAST_TOKEN = 16
"""Characters; a shorter one is guessed too easily."""


def token_from(path: Path) -> str:
    """Read the token that callers must bring; the file may be renewed while we run, as Kubernetes does with Secrets.

    Raises:
        ValueError: no such file, or it holds too few characters.
    """
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); mount the Secret with the token there") from None
    if len(token) < LEAST_TOKEN:
        raise ValueError(f"{path}: fewer than {LEAST_TOKEN} characters; put a random token there")
    return token


def serve(package: Path, *, token_file: Path, host: str, port: int, params: DeployParams) -> None:
    """Serve a package until the process is told to stop.

    Raises:
        ValueError: the token is missing or short, the package is damaged, or it answers its page otherwise than it did.
        RuntimeError: TorchServe does not come up.
    """
    import uvicorn

    token_from(token_file)
    with stoppable(), tempfile.TemporaryDirectory(prefix="vizecg-serve-") as scratch:
        state = Path(scratch) / "torchserve"
        try:
            package = with_archive(package, Path(scratch, "package"))
            with reach(state, params) as server:
                switch(server, load(server, package, params))
            app = make_front(server, params.name, token=lambda: token_from(token_file))
            uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning", limit_concurrency=256,
                        timeout_keep_alive=30, timeout_graceful_shutdown=60, server_header=False)
        finally:
            stop(state)


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments and serve; the exit status is 2 for what the operator can mend, 1 where TorchServe fails."""
    parser = argparse.ArgumentParser(prog="python -m serving.container", description=__doc__.split("\n")[0])
    parser.add_argument("--package", type=Path, required=True, metavar="DIR", help="what 'vizecg package' wrote")
    parser.add_argument("--token-file", type=Path, required=True, metavar="FILE",
                        help="holds the token that callers must bring, 16 characters or more")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen at (0.0.0.0: all of the container's)")
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="port to listen at (8080)")
    parser.add_argument("--workers", type=int, default=DeployParams().workers, metavar="N",
                        help="processes that read (%(default)s)")
    parser.add_argument("--inside", type=int, default=18080, metavar="N",
                        help="first of three ports for TorchServe itself, on loopback (18080)")
    options = parser.parse_args(arguments)
    inside = {name: f"http://127.0.0.1:{options.inside + place}"
              for place, name in enumerate(("inference", "management", "metrics"))}
    try:
        serve(options.package, token_file=options.token_file, host=options.host, port=options.port,
              params=replace(DeployParams(), **inside, workers=options.workers))
    except (ValueError, RuntimeError) as error:
        print(f"serving.container: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
