"""The .mar: the archive that TorchServe loads."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from model.package import DESCRIBED, files_of
from model.reading import programs_of, read_meta

# TorchServe takes the one class that the handler's file itself defines. The file's name must not be that of
# one of our packages: TorchServe imports it by bare name.
_HANDLER = '''"""The entry point of the archive; the work is done by serving.handler."""

from serving.handler import PageHandler


class Handler(PageHandler):
    """The class that TorchServe looks for."""
'''
_HANDLER_FILE = "vizecg_handler.py"


def write_archive(package: Path, *, name: str, version: str) -> Path:
    """Build `<name>.mar` from the files of a package folder, into that folder.

    Args:
        package: holds the programs, model.json and the sample page.
        name: of the model on the server.
        version: under which the server keeps it beside others.

    Returns:
        Where the archive lies. The same contents give the same bytes.

    Raises:
        ValueError: the archiver fails; its last line is the reason.
    """
    # The archiver assembles in the temporary folder under the model's name: without a folder of our own two
    # of them at once would mix their files.
    with tempfile.TemporaryDirectory(prefix="vizecg-mar-") as scratch:
        handler = Path(scratch) / _HANDLER_FILE
        handler.write_text(_HANDLER)
        _archive(package, handler, Path(scratch), name, version)
        return _settle(Path(scratch) / f"{name}.mar", package / f"{name}.mar")


def with_archive(package: Path, folder: Path) -> Path:
    """Return a package that can be served: itself, or where it lacks its archive (zoo/), a copy of it that has one.

    Args:
        package: the package folder.
        folder: where the copy goes; must not be there yet.

    Raises:
        ValueError: the folder is no package, or the archiver fails.
    """
    meta = read_meta(package)
    if (package / f"{meta['name']}.mar").is_file():
        return package
    folder.mkdir(parents=True)
    for file in files_of(meta):
        shutil.copyfile(package / file, folder / file)
    write_archive(folder, name=meta["name"], version=meta["version"])
    return folder


def _archive(package: Path, handler: Path, scratch: Path, name: str, version: str) -> None:
    program, *others = programs_of(read_meta(package))
    command = [sys.executable, "-m", "model_archiver.model_packaging", "--model-name", name, "--version", version,
               "--serialized-file", str((package / program).resolve()), "--handler", str(handler),
               "--extra-files", ",".join(str((package / file).resolve()) for file in (*others, *DESCRIBED)),
               "--export-path", str(scratch), "--force"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(scratch)})
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ValueError(f"{package}: the model archiver failed: {reason}")


def _settle(made: Path, target: Path) -> Path:
    """Copy an archive without times, in order of names, so that the same contents have the same digest."""
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            new.writestr(zipfile.ZipInfo(name), _without_time(data) if name.endswith("MANIFEST.json") else data)
    return target


def _without_time(manifest: bytes) -> bytes:
    lines = [line for line in manifest.split(b"\n") if b'"createdOn"' not in line]
    return b"\n".join(lines)
