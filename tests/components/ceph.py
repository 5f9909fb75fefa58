"""A real Ceph on loopback for the tests: monitor, manager, one store in memory, and the S3 gateway."""

import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-mgr", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
KEYS = ("LABKEY", "labsecret")
CAPS = {"mon.": {"mon": "allow *"}, "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
        "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
        "osd.0": {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"},
        "client.rgw": {"mon": "allow rw", "osd": "allow rwx", "mgr": "allow rw"}}
CONFIG = """[global]
fsid = {fsid}
mon initial members = a
mon host = {monitor}
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd objectstore = memstore
memstore device bytes = 1073741824
osd crush chooseleaf type = 0
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
keyring = {folder}/keyring
mon data = {folder}/mon
mgr data = {folder}/mgr
osd data = {folder}/osd
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw thread pool size = 8
"""


def installed() -> bool:
    """Whether Debian's packages ceph-mon, ceph-mgr, ceph-osd, ceph-common and radosgw are here."""
    return all(map(shutil.which, PROGRAMS))


@contextmanager
def gateway(folder: Path) -> Iterator[str]:
    """Start it all in a short path (sockets have a hundred characters); yields the gateway's address."""
    new, old, port = _ports(3)
    monitor, fsid, disk = f"[v2:127.0.0.1:{new},v1:127.0.0.1:{old}]", str(uuid.uuid4()), str(uuid.uuid4())
    for name in ("mon", "mgr", "osd"):
        (folder / name).mkdir()
    config, keyring = folder / "ceph.conf", folder / "keyring"
    config.write_text(CONFIG.format(fsid=fsid, monitor=monitor, folder=folder, gateway=port))
    running: list[subprocess.Popen] = []

    def call(*line, seconds: float = 120) -> None:
        options = [] if line[0] in ("ceph-authtool", "monmaptool") else ["-c", str(config)]
        subprocess.run([*line, *options], check=True, capture_output=True, timeout=seconds)

    def start(*line) -> None:
        running.append(subprocess.Popen([*line, "-f", "-c", str(config)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL))

    try:
        for name, caps in CAPS.items():
            call("ceph-authtool", str(keyring), "--gen-key", "-n", name, *([] if keyring.exists() else ["-C"]),
                 *(word for kind, cap in caps.items() for word in ("--cap", kind, cap)))
        call("monmaptool", "--create", "--addv", "a", monitor, "--fsid", fsid, str(folder / "monmap"))
        call("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"), "--keyring", str(keyring))
        start("ceph-mon", "-i", "a")
        call("ceph", "auth", "import", "-i", str(keyring))
        start("ceph-mgr", "-i", "x")
        call("ceph", "osd", "new", disk, "0")
        call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        start("ceph-osd", "-i", "0")
        start("radosgw", "-n", "client.rgw")
        call("radosgw-admin", "user", "create", "--uid=lab", "--display-name=lab", f"--access-key={KEYS[0]}",
             f"--secret-key={KEYS[1]}")
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def _wait_for(port: int, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"nothing listens on port {port}")
