"""What a package is, and what it takes to believe the papers that come with it."""

import hashlib
import json
import re
import zipfile
from pathlib import Path

from model.checkpoint import folder_digest, read_json
from model.params_release import NAME
from model.reading import check_programs, programs_of, read_meta

DESCRIBED = ("model.json", "sample.png")
"""The files of a package that its archive holds too, beside the programs."""
VERSION_DIGITS = 12


def archive_of(package: Path) -> Path:
    """Return where a package's .mar lies.

    Raises:
        ValueError: the folder is no package, or its archive is missing.
    """
    name = read_meta(package)["name"]
    if not (isinstance(name, str) and re.fullmatch(NAME, name)):
        raise ValueError(f"{package}/model.json: name is {name!r}, which names no file beside it; package again")
    archive = package / f"{name}.mar"
    if not archive.is_file():
        raise ValueError(f"{archive}: no such file; package again")
    return archive


def files_of(meta: dict) -> tuple[str, ...]:
    """Return the names of a package's files beside its archive."""
    return (*programs_of(meta), *DESCRIBED, "sample.json")


def package_digest(package: Path) -> str:
    """Return the digest by which registry and server know a package: all its files, the archive included.

    Raises:
        ValueError: a file is missing.
    """
    try:
        return folder_digest(package, (*files_of(read_meta(package)), archive_of(package).name))
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename}: no such file; package again") from None


def description_digest(description: dict) -> str:
    """Return the version of a package: a digest of all else that model.json says."""
    rest = {name: value for name, value in description.items() if name != "version"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:VERSION_DIGITS]


def refuse_links(folder: Path) -> None:
    """Refuse a folder in which a file lies elsewhere: what is checked must be what is shipped a moment later.

    Raises:
        ValueError: naming the link.
    """
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise ValueError(f"{path}: is a link; put the file itself there (for DVC: cache.type copy)")


def check_package(package: Path) -> dict:
    """Check that the parts of a package belong together; returns its model.json.

    Raises:
        ValueError: a program is not the one that model.json describes, or the archive holds other files than
            lie beside it; model.json was edited; a file is a link.
    """
    refuse_links(package)
    meta = read_meta(package)
    if description_digest(meta) != meta.get("version"):
        raise ValueError(f"{package}/model.json: was changed after it was written (version); package again")
    check_programs(package, meta)
    archive = archive_of(package)
    try:
        with zipfile.ZipFile(archive) as inside:
            for name in (*programs_of(meta), *DESCRIBED):
                if inside.read(name) != (package / name).read_bytes():
                    raise ValueError(f"{archive}: its {name} is not the one beside it; package again")
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{archive}: not the archive of this package ({error}); package again") from None
    return meta


def evaluation_digest(evaluation: Path) -> str:
    """Return the digest by which a decision knows the evaluation that it is about: its figures and thresholds.

    Raises:
        ValueError: a file is missing.
    """
    try:
        return folder_digest(evaluation, ("metrics.json", "thresholds.json"))
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename}: no such file; make it with 'vizecg evaluate'") from None


def decided_on(evaluation: Path, decision: Path, *, checkpoint: str) -> dict:
    """Return what gate decided, after checking that it decided about this evaluation of this checkpoint.

    Args:
        evaluation: the evaluation folder.
        decision: the decision folder.
        checkpoint: digest of the checkpoint.

    Raises:
        ValueError: either is about something else, or is damaged.
    """
    metrics = read_json(evaluation / "metrics.json", made_by="vizecg evaluate")
    decided = read_json(decision / "decision.json", made_by="vizecg gate")
    for path, found, remedy in ((evaluation / "metrics.json", metrics, "vizecg evaluate"),
                                (decision / "decision.json", decided, "vizecg gate")):
        if found.get("checkpoint_digest") != checkpoint:
            raise ValueError(f"{path}: is about another checkpoint (checkpoint_digest); run '{remedy}' again")
    if decided.get("evaluation_digest") != evaluation_digest(evaluation):
        raise ValueError(f"{decision}/decision.json: is about another evaluation (evaluation_digest); "
                         "run 'vizecg gate' again")
    if not isinstance(decided.get("rules"), list) or not isinstance(decided.get("params"), dict):
        raise ValueError(f"{decision}/decision.json: no field rules or params; run 'vizecg gate' again")
    if not isinstance(decided.get("passed"), bool):
        raise ValueError(f"{decision}/decision.json: field passed is {decided.get('passed')!r}, not true or false; "
                         "run 'vizecg gate' again")
    return decided
