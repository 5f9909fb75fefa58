"""models: the registry as a table."""

import json
from datetime import UTC, datetime
from pathlib import Path

from components.moves import LEDGER, Lost, ledger, standing
from components.tracking import connect, shown
from ecg.files import write_whole
from model.params import TrackingParams

SHOWN = ("auroc", "f1")
SHORT = 12
"""Characters of a digest that a person looks at."""
COLUMNS = ("version", "alias", "gate", "capture", *SHOWN, "data", "commit", "when")


def run(*, name: str, tracking: TrackingParams, moves: bool = False, json_out: Path | None = None) -> str:
    """Return the table to print.

    Args:
        name: of the registered model.
        tracking: section of params.yaml.
        moves: append the history of champions.
        json_out: file to write the same to, with whole digests.

    Raises:
        ValueError: the registry has no such model.
    """
    mlflow = connect(tracking)
    client = mlflow.MlflowClient()
    versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))
    if not versions:
        raise ValueError(f"{name}: no version in the registry {shown(tracking.uri)}; run 'vizecg register'")
    aliases = client.get_registered_model(name).aliases
    rows = [row for version in versions for row in _rows(client, version, aliases)]
    if json_out:
        write_whole(json_out, json.dumps(rows, indent=1) + "\n")
    lines = _aligned([COLUMNS, *([_short(row, column) for column in COLUMNS] for row in rows)])
    lines += _doubts(client, name)
    if moves:
        lines += ["", f"champions of {name}, the last one last ({name}{LEDGER} in the registry):"]
        lines += [f"  {entry.at[:19]}  {entry.before or 'none'} -> {entry.to or 'none'}  by {entry.actor}: {entry.why}"
                  for entry in ledger(client, name)]
    return "\n".join(lines)


def _rows(client, version, aliases: dict) -> list[dict]:
    """One row a capture of a version."""
    tags = version.tags
    metrics = client.get_run(version.run_id).data.metrics if version.run_id else {}
    captures = sorted({key.split(".")[1] for key in metrics if key.startswith("test.")}) or ["-"]
    judged = tags.get("gate", "none")
    held = sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))
    shared = {"version": str(version.version), "alias": " ".join(held), "data": tags.get("data_digest", "-"),
              "gate": f"overridden by {tags['override_by']}" if "override_by" in tags else judged,
              "commit": tags.get("git_commit", "-"), "params": tags.get("params_hash", "-"),
              "package": tags.get("package_digest", "-"),
              "when": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M")}
    return [{**shared, "capture": capture,
             **{shown: metrics.get(f"test.{capture}.macro.{shown}") for shown in SHOWN}} for capture in captures]


def _short(row: dict, column: str) -> str:
    value = row[column]
    if column in SHOWN:
        return "-" if value is None else f"{value:.3f}"
    if column == "commit" and value.endswith("-dirty"):
        return f"{value[:SHORT]}-dirty"
    return value[:SHORT] if column in ("data", "commit") else value


def _aligned(table: list) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _doubts(client, name: str) -> list[str]:
    try:
        seen = standing(client, name)
    except Lost as error:
        return ["", str(error)]
    if not seen.by_hand:
        return []
    return ["", f"the champion was set by hand in MLflow, to version {seen.champion or 'none'}; 'vizecg deploy "
            "--champion' serves it"]
