"""How well each model reads, all trained and measured alike: `vizecg bench accuracy --rows VizECGNet resnet1d_wang`.

A row that MLflow does not have yet is trained by the train step and measured by the evaluate step, on the data that
`make run` made; the table is then printed from MLflow alone. Rows are those of accuracy.yaml.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from components.lineage import params_hash
from components.registry import STEPS
from components.tracking import connect
from ecg.pages import PageSet
from model.params import Params, load_params

ROWS = Path(__file__).with_suffix(".yaml")
KEY, FIGURES = "accuracy_key", "accuracy.json"
"""Tag by which a finished run is known, and its artifact."""


@dataclass(frozen=True)
class Row:
    """One line of the table before it is measured."""

    name: str
    reads: str
    seed: int
    params: Params

    def key(self, pages: PageSet) -> str:
        """What the figures depend on."""
        p = self.params
        return params_hash(p.train, p.model, p.page, p.evaluate) + f"-{pages.digest}-{self.seed}"


def planned(names: list[str], seeds: list[int], params_file: str, overrides: list[str]) -> list[Row]:
    """Return the rows to measure.

    Raises:
        ValueError: a name that accuracy.yaml does not have.
    """
    known = yaml.safe_load(ROWS.read_text())
    for name in names:
        if name not in known:
            raise ValueError(f"--rows: no row is called {name!r}; there are {', '.join(known)}")
    return [Row(name, known[name]["reads"], seed,
                load_params(params_file, (*overrides, *(f"{k}={json.dumps(v)}" for k, v in
                                                        known[name]["change"].items()))))
            for name in names or known for seed in seeds]


def measure(row: Row, pages: Path, records: Path, validation: Path) -> None:
    """Train and evaluate one row, and put its figures into its MLflow run."""
    from components.evaluate.step import run as evaluate
    from components.train.step import run as train

    p = row.params
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, evaluation = Path(folder, "checkpoint"), Path(folder, "evaluation")
        trained = train(records=records, validation=validation, checkpoint=checkpoint, params=p.train, model=p.model,
                        page=p.page, tracking=p.tracking, seed=row.seed)
        evaluate(checkpoint=checkpoint, pages=pages, evaluation=evaluation, params=p.evaluate, seed=row.seed,
                 records=records)
        metrics = json.loads((evaluation / "metrics.json").read_text())
        described = json.loads((checkpoint / "model.json").read_text())
        figures = {"test": {view: block["macro"] for view, block in metrics["test"].items()},
                   **{name: described[name] for name in ("parameters", "seconds", "validate_auroc", "device")},
                   "cores": os.cpu_count(), "processor": platform.processor() or platform.machine()}
        client = connect(p.tracking).MlflowClient()
        client.log_dict(trained.run_id, figures, FIGURES)
        client.set_tag(trained.run_id, KEY, row.key(PageSet.open(pages)))


def recorded(rows: list[Row], pages: PageSet) -> Iterator[tuple[Row, dict | None]]:
    """Yield each row with its figures in MLflow, None where there are none."""
    mlflow = connect(rows[0].params.tracking)
    for row in rows:
        found = mlflow.search_runs(filter_string=f"tags.{KEY} = '{row.key(pages)}'", output_format="list")
        yield row, mlflow.artifacts.load_dict(f"{found[0].info.artifact_uri}/{FIGURES}") if found else None


def table(rows: list[tuple[Row, dict | None]], pages: PageSet) -> str:
    """Lay the figures out as Markdown: a line a model, mean and range over the seeds where there are several."""
    records = dict(pages.index["split"].value_counts())
    lines = [f"{len(pages.label_names)} findings, data {pages.data_digest[:12]}, "
             f"{records.get('validate', 0)} validation and {records.get('test', 0)} test records, "
             f"page {pages.page['layout']} {pages.page['width']}x{pages.page['height']}.", "",
             "| model | reads | parameters | validation AUROC | " + " | ".join(
                 f"{view} AUROC | {view} F1" for view in pages.captures) + " | seeds | training |",
             "|" + "---|" * (6 + 2 * len(pages.captures))]
    for name in dict.fromkeys(row.name for row, _ in rows):
        mine = [(row, figures) for row, figures in rows if row.name == name and figures]
        if mine:
            lines.append(_line(name, mine[0][0].reads, [figures for _, figures in mine], pages.captures))
    return "\n".join(lines)


def _line(name: str, reads: str, runs: list[dict], views: tuple[str, ...]) -> str:
    cells = [name, reads, f"{runs[0]['parameters'] / 1e6:.2f} M", _spread([run["validate_auroc"] for run in runs])]
    for view in views:
        cells += [_spread([run["test"][view][metric]["value"] for run in runs]) for metric in ("auroc", "f1")]
    minutes = np.mean([run["seconds"] for run in runs]) / 60
    return "| " + " | ".join([*cells, str(len(runs)), f"{minutes:.0f} min, {runs[0]['device']}"]) + " |"


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main(arguments: list[str] | None = None) -> None:
    """Measure what MLflow does not have, and print the table."""
    parser = argparse.ArgumentParser(prog="vizecg bench accuracy", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="*", default=[], metavar="NAME", help="lines of accuracy.yaml (all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7], metavar="N", help="a run for each (7)")
    parser.add_argument("--params", default="params.yaml", metavar="FILE", help="file of every knob (params.yaml)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    parser.add_argument("--print", action="store_true", dest="only_print", help="train nothing, print what there is")
    for name, step in (("records", "ingest"), ("validation", "validate"), ("pages", "render")):
        parser.add_argument(f"--{name}", type=Path, default=Path(STEPS[step].folder), metavar="DIR")
    options = parser.parse_args(arguments)
    rows = planned(options.rows, options.seeds, options.params, options.overrides)
    pages = PageSet.open(options.pages)
    if not options.only_print:
        for row, figures in list(recorded(rows, pages)):
            if figures is None:
                measure(row, options.pages, options.records, options.validation)
    print(table(list(recorded(rows, pages)), pages))


if __name__ == "__main__":
    main()
