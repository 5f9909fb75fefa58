"""Checkpoints: tensors in `.pt` files read with `weights_only`, everything else in plain JSON."""

import hashlib
import json
from pathlib import Path

import torch

from model.baselines import Network, build
from model.params import ModelParams, PageParams
from model.typed import from_dict

SCHEMA_VERSION = 1


def save_checkpoint(folder: Path, net: Network, *, meta: dict, history: list[dict]) -> None:
    """Write `model.pt`, `model.json` and `history.json` into a folder that exists.

    Args:
        folder: where to; use `ecg.records.write_beside`, so that it appears whole or not at all.
        net: the weights that are shipped.
        meta: plain values; must hold label_names, model and page (params as dicts).
        history: one dict an epoch.
    """
    torch.save({name: value.detach().cpu() for name, value in net.state_dict().items()}, folder / "model.pt")
    (folder / "model.json").write_text(json.dumps({"schema": SCHEMA_VERSION, **meta}, indent=2) + "\n")
    (folder / "history.json").write_text(json.dumps(history, indent=1) + "\n")


def load_checkpoint(folder: Path | str) -> tuple[Network, dict]:
    """Read a checkpoint folder: the network in eval mode, and what `model.json` says.

    Raises:
        ValueError: a file is missing, not ours, or does not fit the network that model.json describes.
    """
    folder = Path(folder)
    meta = read_json(folder / "model.json", made_by="vizecg train")
    if meta.get("schema") != SCHEMA_VERSION:
        raise ValueError(f"{folder}/model.json: field schema is {meta.get('schema')!r}, this version reads "
                         f"{SCHEMA_VERSION}; train again")
    net = build(from_dict(ModelParams, meta["model"], "model"), classes=len(meta["label_names"]),
                page=from_dict(PageParams, meta["page"], "page"))
    try:
        net.load_state_dict(torch.load(folder / "model.pt", map_location="cpu", weights_only=True))
    except Exception as error:
        # Torch raises a dozen types for a torn, foreign or unfitting file; the user's remedy is the same.
        raise ValueError(f"{folder}/model.pt: cannot be read as this network's weights "
                         f"({_first_line(error)}); train again") from None
    return net.eval(), meta


def folder_digest(folder: Path, names: tuple[str, ...]) -> str:
    """Return the SHA-256 of the named files of a folder, names included."""
    whole = hashlib.sha256()
    for name in names:
        with open(folder / name, "rb") as file:
            whole.update(name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def checkpoint_digest(folder: Path) -> str:
    """Return the digest by which evaluation, gate and package know a checkpoint: its weights and description."""
    return folder_digest(folder, ("model.pt", "model.json"))


def read_json(path: Path, *, made_by: str) -> dict:
    """Read a JSON file of ours.

    Raises:
        ValueError: missing (naming the command that makes it) or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; make it with '{made_by}'") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON ({error}); make it again with '{made_by}'") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
