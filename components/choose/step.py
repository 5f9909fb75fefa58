"""choose: the best of several trainings, by what the image alone scores on the validation split."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from ecg.records import write_beside
from model.checkpoint import read_json

SCORE = "validate_auroc"


@dataclass(frozen=True)
class ChooseResult:
    """Which checkpoint was taken, counted from 0, and every one's validation AUROC in the order given."""

    chosen: int
    scores: tuple[float, ...]


def run(*, checkpoints: tuple[Path, ...], checkpoint: Path) -> ChooseResult:
    """Copy the best checkpoint. The test split is not looked at; of equals the first is taken.

    Args:
        checkpoints: folders of trained models, of one set of records.
        checkpoint: the folder to write.

    Raises:
        ValueError: none is given, one is damaged or has no score, or they were trained on different records.
    """
    if not checkpoints:
        raise ValueError("trials: none; give at least one, such as [{}]")
    metas = [read_json(folder / "model.json", made_by="vizecg train") for folder in checkpoints]
    if len({meta["data_digest"] for meta in metas}) > 1:
        raise ValueError(f"{checkpoints[0].parent}: the trials were trained on different records (data_digest)")
    scores = tuple(_score(meta, folder) for meta, folder in zip(metas, checkpoints, strict=True))
    chosen = scores.index(max(scores))
    with write_beside(checkpoint) as folder:
        shutil.copytree(checkpoints[chosen], folder, dirs_exist_ok=True)
    return ChooseResult(chosen, scores)


def table(result: ChooseResult, trials: list[dict]) -> str:
    """Return the trials with their scores as Markdown, the chosen one in bold."""
    lines = ["| trial | settings | validation AUROC |", "|---|---|---|"]
    for number, (score, trial) in enumerate(zip(result.scores, trials, strict=True)):
        bold = "**" if number == result.chosen else ""
        lines.append(f"| {number} | `{trial}` | {bold}{score:.4f}{bold} |")
    return "\n".join(lines) + "\n"


def _score(meta: dict, folder: Path) -> float:
    score = meta.get(SCORE)
    if not isinstance(score, int | float) or math.isnan(score):
        raise ValueError(f"{folder}/model.json: {SCORE} is {score!r}, so it cannot be compared; train again")
    return float(score)
