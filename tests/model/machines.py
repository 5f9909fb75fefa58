"""Two machines that see each other over a cable: network namespaces, or, without the right to make them, loopback."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Machine:
    """One node. `namespace` is empty where both are this machine's loopback."""

    address: str
    interface: str
    namespace: str
    port: int = 29400
    started: list = field(default_factory=list)

    def start(self, words: list[str], *, node: int, first: "Machine") -> subprocess.Popen:
        """Start Python with the variables that a TrainJob's node has."""
        inside = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": self.interface, "PET_NNODES": "2",
                       "PET_NODE_RANK": str(node), "PET_MASTER_ADDR": first.address, "PET_MASTER_PORT": str(first.port)}
        process = subprocess.Popen([*inside, sys.executable, *words], cwd=ROOT, env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.started.append(process)
        return process

    def pull_the_plug(self) -> None:
        """Kill everything that runs on the machine."""
        if self.namespace:
            for pid in ip("netns", "pids", self.namespace).split():
                os.kill(int(pid), signal.SIGKILL)
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def on_loopback() -> list[Machine]:
    """Return two machines that are both this one."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    return [Machine("127.0.0.1", "lo", "", port) for _ in range(2)]


def connect() -> list[Machine]:
    """Make two namespaces joined by a cable; raises OSError or CalledProcessError where that is not allowed."""
    tag, net = f"vz{os.getpid()}", f"10.197.{os.getpid() % 250}"
    machines = [Machine(f"{net}.{i}", f"{tag}n{i}", f"{tag}m{i}") for i in (1, 2)]
    try:
        for machine in machines:
            ip("netns", "add", machine.namespace)
        ip("link", "add", machines[0].interface, "type", "veth", "peer", "name", machines[1].interface)
        for machine in machines:
            ip("link", "set", machine.interface, "netns", machine.namespace)
            ip("-n", machine.namespace, "addr", "add", f"{machine.address}/24", "dev", machine.interface)
            for link in (machine.interface, "lo"):
                ip("-n", machine.namespace, "link", "set", link, "up")
    except (OSError, subprocess.CalledProcessError):
        disconnect(machines)
        raise
    return machines


def disconnect(machines: list[Machine]) -> None:
    """Kill what still runs, and remove the namespaces with their cable."""
    for machine in machines:
        if not machine.namespace:
            machine.pull_the_plug()
        elif Path("/run/netns", machine.namespace).exists():
            machine.pull_the_plug()
            ip("netns", "delete", machine.namespace)
