"""The Dockerfile and what surrounds it, as far as can be held without an engine."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests

from components.images import PLACEHOLDERS, TARGETS, released

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def stages():
    """The instructions of each stage by its name, and the stage or image that it starts from."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    found, name = {}, ""
    for line in (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")):
        line = line.replace("${TRAIN_TORCH}", "cuda")
        if start := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            name = start[2]
            found[name] = (start[1], [])
        elif name:
            found[name][1].append(line)
    return found


def inherited(stages, name):
    """The instructions that end up in a stage, those of its ancestors first."""
    start, own = stages[name]
    return [*(inherited(stages, start) if start in stages else []), *own]


def test_every_image_has_its_target_and_shares_the_layers_below(stages):
    assert set(TARGETS) <= stages.keys()
    assert {target: stages[target][0] for target in TARGETS} == {"data": "cpu", "serve": "cpu", "train": "cuda"}
    assert {stages[name][0] for name in ("cpu", "cuda")} == {"base"} and stages["base"][0] == "${BASE}"
    assert all(reference.split(":")[0].endswith(f"-{target}") for target, reference in PLACEHOLDERS.items())


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_and_keeps_no_tool(target, stages):
    lines = inherited(stages, target)
    assert lines[-1] == "USER 10001"
    assert not any(word in line for line in lines for word in ("apt-get", "pip install", "uv ", "curl", "wget"))
    torch = "cuda" if target == "train" else "cpu"
    assert [line for line in lines if "--from=" in line] == [
        f"COPY --from=env-{torch} /opt/venv /opt/venv", f"COPY --from=more-{target} /opt/more /opt/venv",
        "COPY --from=code /app /app"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is(target, stages):
    labels = " ".join(line for line in inherited(stages, target) if line.startswith("LABEL"))
    for name in ("version", "revision", "base.name", "licenses"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_the_environments_layers_do_not_change_with_the_commit(stages):
    for name in ("cpu", "cuda", *(f"more-{target}" for target in TARGETS)):
        assert not any("VIZECG_COMMIT" in line or "VERSION" in line for line in inherited(stages, name))


def test_what_is_copied_is_there_and_reaches_the_engine(stages):
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for _, lines in stages.values():
        for line in (line for line in lines if line.startswith("COPY") and "--from" not in line):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists() and source in allowed, source


def test_the_steps_code_is_in_every_image(stages):
    copied = {line.split()[1] for line in inherited(stages, "code") if line.startswith("COPY")}
    assert {"ecg", "model", "serving", "components"} <= copied


def test_the_shell_reads_the_script():
    subprocess.run(["bash", "-n", str(ROOT / "tools" / "images.sh")], check=True)


def test_without_an_engine_the_script_says_so(tmp_path):
    for name in ("bash", "git", "sed", "dirname", "head"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(["bash", str(ROOT / "tools" / "images.sh"), "build"], env={"PATH": str(tmp_path)},
                          capture_output=True, text=True)
    assert done.returncode == 2 and "neither docker nor podman answers" in done.stderr


def test_the_bill_of_materials_names_what_is_installed(tmp_path):
    import importlib.metadata
    import json

    subprocess.run([sys.executable, str(ROOT / "tools" / "sbom.py"), str(tmp_path / "sbom.json")], check=True)
    document = json.loads((tmp_path / "sbom.json").read_text())
    known = {component["name"].lower(): component["version"] for component in document["components"]}
    assert document["bomFormat"] == "CycloneDX" and known["numpy"] == importlib.metadata.version("numpy")


@pytest.fixture(scope="module")
def engine():
    """An engine that has the images and may start containers; they are big, so that nobody builds them for a test."""
    why = "no container engine here has the images of 'make images'"
    for name in filter(shutil.which, ("podman", "docker")):
        have = all(subprocess.run([name, "image", "inspect", reference], capture_output=True).returncode == 0
                   for reference in PLACEHOLDERS.values())
        if have:
            # 125 and 126: the engine itself failed, such as where it may not set limits; not what the image holds.
            started = subprocess.run([name, "run", "--rm", "--network", "none", PLACEHOLDERS["data"], "true"],
                                     capture_output=True, text=True)
            if started.returncode not in (125, 126):
                return name
            why = f"{name} starts no container here: {started.stderr.strip()}"
    pytest.skip(why)


INSIDE = """
import importlib.util, json, os, shutil, sys
from pathlib import Path
import components.cli, torch
specs = [module.__spec__ for module in list(sys.modules.values()) if getattr(module, "__spec__", None)]
ours = [spec for spec in specs if str(spec.origin).startswith(("/app/", "/opt/venv/")) and spec.origin.endswith(".py")]
tools = [name for name in ("gcc", "cc", "make", "pip", "uv", "git") if shutil.which(name)]
tools += [name for name in ("pip", "ensurepip") if importlib.util.find_spec(name)]
listed = json.loads(Path("/app/sbom.cdx.json").read_text())["components"]
sbom = {each["name"].lower(): each["version"] for each in listed}
print(json.dumps({"uid": os.getuid(), "tools": tools, "numpy": sbom.get("numpy"), "modules": len(ours),
                  "not compiled": [spec.name for spec in ours if not os.path.exists(spec.cached)],
                  "writable": [p for p in ("/app", "/opt/venv", "/usr", sys.prefix) if os.access(p, os.W_OK)]}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_built_image_is_nobodys_on_a_root_that_cannot_be_written(engine, target):
    done = subprocess.run([engine, "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop",
                           "all", PLACEHOLDERS[target], "python", "-c", INSIDE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import json

    said = json.loads(done.stdout.splitlines()[-1])
    assert said["numpy"] == "2.4.6" and said["uid"] == 10001
    assert said["writable"] == [] and said["tools"] == []
    assert said["modules"] > 500 and said["not compiled"] == []


def test_a_built_image_says_its_commit(engine):
    import json

    found = subprocess.run([engine, "image", "inspect", PLACEHOLDERS["serve"]], capture_output=True, text=True)
    labels = json.loads(found.stdout)[0]["Config"]["Labels"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry on loopback that podman may speak to without TLS; its address."""
    from tests.test_dag import free_addresses

    (address,) = free_addresses(1)
    host = address.removeprefix("http://")
    (tmp_path / "registry.yml").write_text(
        f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {tmp_path}/kept}}}}, http: {{addr: {host}}}}}")
    (tmp_path / "registries.conf").write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
    with open(tmp_path / "registry.log", "w") as log:
        process = subprocess.Popen(["docker-registry", "serve", tmp_path / "registry.yml"], stdout=log, stderr=log)
    try:
        wait_for(f"{address}/v2/")
        yield host
    finally:
        process.terminate()
        process.wait(10)


def wait_for(address: str) -> None:
    for _ in range(100):
        try:
            requests.get(address, timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"nothing answers at {address}")


@pytest.fixture
def podman():
    """Podman with an empty store of its own, by a name that the script takes for podman."""
    # Podman wants a short path, and plain folders: an overlay would stay mounted.
    with tempfile.TemporaryDirectory(prefix="podman-") as folder:
        program = Path(folder) / "podman"
        store = f"--root {folder}/root --runroot {folder}/run --storage-driver vfs"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("podman")} {store} "$@"\n')
        program.chmod(0o755)
        (program.parent / "file").write_text("an image")
        subprocess.run(["tar", "-C", folder, "-cf", program.with_name("layer.tar"), "file"], check=True)
        yield program


def import_images(podman: Path, commit: str) -> None:
    """Give the three names to images of one file."""
    for reference in PLACEHOLDERS.values():
        done = subprocess.run([podman, "import", "--change", f"LABEL org.opencontainers.image.revision={commit}",
                               podman.with_name("layer.tar"), reference], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"podman imports no image here: {done.stderr.strip()}")


@pytest.mark.live
@pytest.mark.skipif(not (shutil.which("podman") and shutil.which("docker-registry")),
                    reason="needs podman and a registry (apt-get install podman docker-registry)")
def test_a_push_writes_digests_that_the_registry_has_and_a_release_names(registry, podman, tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", clone], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True).stdout.strip()
    push = ["bash", clone / "tools" / "images.sh", "push", f"{registry}/ecg"]
    environment = {**os.environ, "ENGINE": str(podman)}
    import_images(podman, "0" * 40)
    refused = subprocess.run(push, env=environment, capture_output=True, text=True)
    assert refused.returncode == 2 and f"is of commit {'0' * 40}, not {commit}" in refused.stderr
    import_images(podman, commit)
    done = subprocess.run(push, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for target, reference in released(clone / "components" / "images.lock").items():
        name, digest = reference.split("@")
        assert name == f"{registry}/ecg/vizecgnet-{target}"
        found = requests.get(f"http://{registry}/v2/ecg/vizecgnet-{target}/manifests/{digest}", timeout=10,
                             headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
        assert found.status_code == 200 and found.json()["layers"]
