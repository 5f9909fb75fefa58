"""A TorchServe in a container of its own: `python -m serving.keep STATE PARAMS`, PARAMS the section `deploy` as JSON.

The container of a task ends with the task, and would take a server along that the task had started. This one says
`ready` once its server answers, and stops it on SIGTERM.
"""

import json
import signal
import sys
import time
from pathlib import Path

from model.params import DeployParams
from model.typed import from_dict
from serving.torchserve import is_running, reach, stop

READY = "ready"


def keep(state: Path, params: DeployParams) -> None:
    """Start the server of a state folder and wait for its end, or for SIGTERM.

    Raises:
        RuntimeError: the server does not come up, or ended by itself.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with reach(state, params):
            print(READY, flush=True)
        while is_running(state):
            time.sleep(1)
    finally:
        stop(state)
    raise RuntimeError(f"TorchServe ended; see {state / 'logs'}")


if __name__ == "__main__":
    keep(Path(sys.argv[1]), from_dict(DeployParams, json.loads(sys.argv[2]), "deploy"))
