"""How well each model reads, all trained and measured alike: `vizecg bench accuracy --recipe ptbxl-fast`.

A row that MLflow does not have yet is trained by the train step and measured by the evaluate step, on the data that
`make run` made; the table is then printed from MLflow alone. Rows are those of accuracy.yaml. Checkpoints are kept, so
that a row taught by others finds them, and so that other pages can be read without another training.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from components.evaluate.readings import gathered
from components.lineage import params_hash
from components.progress import say
from components.recipe import RECIPES, compose
from components.registry import STEPS
from components.tracking import connect, start_run
from ecg.pages import PageSet
from ecg.records import RecordStore
from model import evaluation
from model.baselines import build
from model.checkpoint import checkpoint_digest
from model.params import ModelParams, PageParams, Params, TrainParams, load_params
from model.typed import from_dict

ROWS = Path(__file__).with_suffix(".yaml")
BASE = ("train.pretrain=0", "train.teachers=[]", "train.ask_teachers=once")
"""What rows share whatever the recipe: those that begin with pretraining, or have teachers, are rows of their own."""
KEY, FIGURES = "accuracy_key", "accuracy.json"
"""Tag by which a finished run is known, and its artifact."""


@dataclass(frozen=True)
class Row:
    """One line of the table before it is measured; its teachers and its start are names of other rows."""

    name: str
    reads: str
    seed: int
    params: Params
    test: bool
    """Whether the test split is read; a row that is there for a choice has the validation split's figure alone."""

    def key(self, pages: PageSet) -> str:
        """What the figures depend on."""
        p = self.params
        return params_hash(p.train, p.model, p.page, p.evaluate) + f"-{pages.digest}-{self.seed}"


def planned(names: list[str], seeds: list[int], params_file: str | Path, overrides: list[str]) -> list[Row]:
    """Return the rows to measure.

    Raises:
        ValueError: a name that accuracy.yaml does not have.
    """
    known = yaml.safe_load(ROWS.read_text())
    for name in names:
        if name not in known:
            raise ValueError(f"--rows: no row is called {name!r}; there are {', '.join(known)}")
    return [Row(name, known[name]["reads"], seed,
                load_params(params_file, (*BASE, *overrides, *(f"{k}={json.dumps(v)}" for k, v in
                                                               known[name]["change"].items()))),
                known[name].get("test", True))
            for name in names or known for seed in seeds]


def measure(row: Row, pages: Path, records: Path, validation: Path, kept: Path, teacher_seed: int) -> None:
    """Train one row unless its checkpoint is kept, evaluate it, and put its figures into an MLflow run."""
    from components.train.step import run as train

    p, checkpoint = row.params, _folder(kept, row.name, row.seed)
    store = RecordStore.open(records)
    if not _is_of(checkpoint, row, store.digest):
        others = _with_others(p.train, lambda name: str(_folder(kept, name, teacher_seed)))
        train(records=records, validation=validation, checkpoint=checkpoint, params=others, model=p.model, page=p.page,
              tracking=p.tracking, seed=row.seed, state=kept / "state", resume=True)
    described = json.loads((checkpoint / "model.json").read_text())
    figures = {"test": _on_test(row, checkpoint, pages, records) if row.test else {},
               **{name: described[name] for name in ("parameters", "seconds", "validate_auroc", "device", "epochs")},
               "hardware": described.get("hardware", described["device"]),  # earlier versions did not tell
               "trained_on": len(store.rows("train"))}
    tags = {KEY: row.key(PageSet.open(pages)), "train_run": described["run_id"], "data_digest": store.digest}
    with start_run(p.tracking, name=f"accuracy: {row.name}", tags=tags) as mlflow:
        mlflow.log_dict(figures, FIGURES)


def _on_test(row: Row, checkpoint: Path, pages: Path, records: Path) -> dict:
    """Return the macro figures of the test split by capture, as the evaluate step has them."""
    from components.evaluate.step import read

    page_set, params = PageSet.open(pages), row.params.evaluate
    with tempfile.TemporaryDirectory() as folder:
        readings = tuple(Path(folder, str(number)) for number in range(len(page_set.captures)))
        for capture, reading in zip(page_set.captures, readings, strict=True):
            read(checkpoint=checkpoint, pages=pages, readings=reading, capture=capture, params=params, records=records)
        predictions = gathered(readings, checkpoint=checkpoint_digest(checkpoint), pages=page_set)
    measured = evaluation.measure(predictions, label_names=page_set.label_names, params=params, seed=row.seed)
    return {view: block["macro"] for view, block in measured["test"].items()}


def _folder(kept: Path, name: str, seed: int) -> Path:
    return kept / f"{_slug(name)}-{seed}"


def _with_others(params: TrainParams, called: Callable[[str], str]) -> TrainParams:
    """Return the parameters with the rows that they build on, teachers and a start, called otherwise."""
    return replace(params, teachers=tuple(map(called, params.teachers)),
                   start_from=params.start_from and called(params.start_from))


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9_]+", "-", name.lower()).strip("-")


def _is_of(checkpoint: Path, row: Row, data_digest: str) -> bool:
    """Tell whether a folder holds this row's checkpoint; what reads no page does not depend on the page."""
    if not (checkpoint / "model.json").exists():
        return False
    meta = json.loads((checkpoint / "model.json").read_text())
    p, trained = row.params, from_dict(TrainParams, meta["train"], "train")
    # Another row's folder is called by the row, and its seed.
    trained = _with_others(trained, lambda folder: re.sub(r"-\d+$", "", Path(folder).name))
    drawn = "page" in build(p.model, classes=1, page=p.page).reads
    same = (trained == _with_others(p.train, _slug) and from_dict(ModelParams, meta["model"], "model") == p.model
            and (not drawn or from_dict(PageParams, meta["page"], "page") == p.page)
            and (meta["seed"], meta["data_digest"]) == (row.seed, data_digest))
    say(f"{row.name}: " + (f"kept in {checkpoint}" if same else f"{checkpoint} was trained otherwise; trained again"))
    return same


def recorded(rows: list[Row], pages: PageSet) -> Iterator[tuple[Row, dict | None]]:
    """Yield each row with its figures in MLflow, None where there are none, or none of the test split that it reads."""
    mlflow = connect(rows[0].params.tracking)
    for row in rows:
        found = mlflow.search_runs(filter_string=f"tags.{KEY} = '{row.key(pages)}'", output_format="list")
        figures = mlflow.artifacts.load_dict(f"{found[0].info.artifact_uri}/{FIGURES}") if found else None
        yield row, figures if figures and (figures["test"] or not row.test) else None


def table(rows: list[tuple[Row, dict | None]], pages: PageSet) -> str:
    """Lay the figures out as Markdown: a line a model, mean and range over the seeds where there are several."""
    records, folds = dict(pages.index["split"].value_counts()), rows[0][0].params.ingest
    measured = [figures for _, figures in rows if figures]
    machines = sorted({f["hardware"] for f in measured})
    lines = [f"{len(pages.label_names)} findings, data {pages.data_digest[:12]}: "
             f"{' / '.join(str(n) for n in sorted({f['trained_on'] for f in measured}) or [0])} training, "
             f"{records.get('validate', 0)} validation, {records.get('test', 0)} test records "
             f"(folds {_span(folds.train_folds)} / {_span(folds.validate_folds)} / {_span(folds.test_folds)}); "
             f"page {pages.page['layout']}, {pages.page['width']} x {pages.page['height']}; {'; '.join(machines)}.", "",
             "| model | reads | parameters | validation AUROC | " + " | ".join(
                 f"{view} AUROC | {view} F1" for view in pages.captures) + " | seeds | training |",
             "|" + "---|" * (6 + 2 * len(pages.captures))]
    for name in dict.fromkeys(row.name for row, _ in rows):
        mine = [(row, figures) for row, figures in rows if row.name == name and figures]
        if mine:
            lines.append(_line(name, mine[0][0].reads, [figures for _, figures in mine], pages.captures))
    return "\n".join(lines)


def _span(folds: tuple[int, ...]) -> str:
    return f"{folds[0]}-{folds[-1]}" if len(folds) > 1 else str(folds[0])


def _line(name: str, reads: str, runs: list[dict], views: tuple[str, ...]) -> str:
    cells = [name, reads, f"{runs[0]['parameters'] / 1e6:.2f} M", _spread([run["validate_auroc"] for run in runs])]
    for view in views:
        cells += [_spread([run["test"][view][metric]["value"] for run in runs]) if runs[0]["test"] else "–"
                  for metric in ("auroc", "f1")]
    minutes = np.mean([run["seconds"] for run in runs]) / 60
    trained = f"{runs[0]['epochs']} epochs, {minutes:.0f} min, {runs[0]['device']}"
    return "| " + " | ".join([*cells, str(len(runs)), trained]) + " |"


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main(arguments: list[str] | None = None) -> None:
    """Measure what MLflow does not have, and print the table."""
    parser = argparse.ArgumentParser(prog="vizecg bench accuracy", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="*", default=[], metavar="NAME", help="lines of accuracy.yaml (all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7], metavar="N", help="a run for each (7)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--params", default="params.yaml", metavar="FILE", help="file of every knob (params.yaml)")
    source.add_argument("--recipe", choices=sorted(path.stem for path in RECIPES.glob("*.yaml")), help="instead of it")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    parser.add_argument("--print", action="store_true", dest="only_print", help="train nothing, print what there is")
    parser.add_argument("--keep", type=Path, default=Path("local/accuracy"), metavar="DIR",
                        help="checkpoints, one folder a row and seed (local/accuracy)")
    for name, step in (("records", "ingest"), ("validation", "validate"), ("pages", "render")):
        parser.add_argument(f"--{name}", type=Path, default=Path(STEPS[step].folder), metavar="DIR")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        params_file = Path(options.params)
        if options.recipe:
            compose(options.recipe, params_file := Path(folder, "params.yaml"))
        rows = planned(options.rows, options.seeds, params_file, options.overrides)
    pages = PageSet.open(options.pages)
    if not options.only_print:
        for row, figures in list(recorded(rows, pages)):
            if figures is None:
                measure(row, options.pages, options.records, options.validation, options.keep, options.seeds[0])
    known = list(recorded(rows, pages))
    if lacking := sum(figures is None for _, figures in known):
        say(f"bench accuracy: of {lacking} of {len(known)} rows and seeds no run with these parameters and pages is "
            "recorded; what code with other parameters recorded, that code prints")
    print(table(known, pages))


if __name__ == "__main__":
    main()
