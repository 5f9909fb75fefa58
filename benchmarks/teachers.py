"""Which teachers to learn from: `vizecg bench teachers CHECKPOINT CHECKPOINT … --records STORE`.

Macro AUROC of each checkpoint and of the best mean of two, three and so on, on the validation records, none of the
test fold's: a pupil of several teachers (`train.teachers`) learns from their mean probability.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.views import macro_auroc
from components.registry import STEPS
from components.train.teachers import taught
from ecg.records import RecordStore


def best_means(answers: np.ndarray, truth: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    """Return each model, and of each number of models the mean that reads best, with its macro AUROC.

    Args:
        answers: probabilities (models, N, C).
        truth: what the records have (N, C).
    """
    def measured(size: int) -> list[tuple[tuple[int, ...], float]]:
        return [(group, macro_auroc(answers[list(group)].mean(axis=0), truth))
                for group in combinations(range(len(answers)), size)]

    return measured(1) + [max(measured(size), key=lambda one: one[1]) for size in range(2, len(answers) + 1)]


def main(arguments: list[str] | None = None) -> None:
    """Print a row a model, then the best mean of each number of them."""
    parser = argparse.ArgumentParser(prog="vizecg bench teachers", description=__doc__.split("\n")[0],
                                     epilog=" ".join(__doc__.split("\n\n")[1].split()))
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="folders that 'vizecg train' wrote")
    parser.add_argument("--records", type=Path, default=Path(STEPS["ingest"].folder), metavar="STORE",
                        help=f"({STEPS['ingest'].folder})")
    options = parser.parse_args(arguments)
    store = RecordStore.open(options.records)
    rows = store.rows("validate")
    if not len(rows):
        raise ValueError(f"{options.records}: no record of the validate split")
    answers = np.stack([taught((folder,), store, rows, kept=None) for folder in options.checkpoints])
    print("| teachers | validation AUROC |\n|---|---|")
    for group, figure in best_means(answers, store.labels[rows]):
        print(f"| {' + '.join(Path(options.checkpoints[k]).name for k in group)} | {figure:.4f} |")


if __name__ == "__main__":
    main()
