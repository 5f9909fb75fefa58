"""How well each model reads, all trained and measured alike: `vizecg bench accuracy --recipe ptbxl-fast`.

A row that MLflow does not have yet is trained by the train step and measured by the evaluate step, on the data that
`make run` made; the table is then printed from MLflow alone. Rows are those of accuracy.yaml. Checkpoints are kept, so
that a row taught by others finds them, and so that other pages can be read without another training.

The runs that the table of the README was printed from come with the project: --import brings them into MLflow,
and --print then prints them where neither data nor checkpoints are at hand.
"""

import argparse
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from benchmarks.accuracy_table import gains, tables
from benchmarks.recorded import (
    KEPT,
    OTHERS_ROWS,
    OTHERS_SEED,
    Run,
    described,
    export,
    found,
    identity,
    record,
    recorded,
    settings,
    take,
)
from components.evaluate.readings import gathered
from components.progress import say
from components.recipe import RECIPES, compose
from components.registry import STEPS
from components.tracking import shown
from components.train.step import decisive
from ecg.pages import PageSet
from ecg.records import RecordStore
from model import evaluation
from model.baselines import build
from model.checkpoint import checkpoint_digest
from model.params import ModelParams, PageParams, Params, TrackingParams, TrainParams, load_params
from model.typed import from_dict

ROWS = Path(__file__).with_suffix(".yaml")
BASE = ("train.pretrain=0", "train.teachers=[]", "train.ask_teachers=once", "train.start_from=''")
"""What rows share whatever the recipe: those that begin with pretraining, or have teachers, are rows of their own."""
PLACES = (("pages", "render"), ("records", "ingest"), ("validation", "validate"))
"""Options that name what a step has made, and the step."""


@dataclass(frozen=True)
class Row:
    """One line of the table before it is measured; its teachers and its start are names of other rows."""

    name: str
    reads: str
    seed: int
    params: Params
    test: bool
    """Whether the test split is read; a row that is there for a choice has the validation split's figure alone."""

    change: dict = field(default_factory=dict)
    """Its line of accuracy.yaml: what it sets."""
    others: tuple["Row", ...] = ()
    """The rows that it builds on, its teachers and its start."""

    @property
    def identity(self) -> dict[str, str]:
        """By what its recorded runs are known."""
        return identity(settings(self.params), self.seed, self.about_others)

    @property
    def about_others(self) -> dict[str, str]:
        """The seed and the lines of the rows that it builds on; nothing where there are none."""
        if not self.others:
            return {}
        lines = json.dumps([other.lines for other in self.others], sort_keys=True)
        return {OTHERS_SEED: str(self.others[0].seed), OTHERS_ROWS: hashlib.sha256(lines.encode()).hexdigest()[:16]}

    @property
    def lines(self) -> list:
        """Its own line of accuracy.yaml and those of the rows below it."""
        return [self.name, self.change, [other.lines for other in self.others]]

    def among(self, runs: list, pages: PageSet | None) -> list[Run]:
        """Return its own of the recorded runs, newest first: on these pages, or on any."""
        return [run for run in found(runs, self.identity, pages=pages) if run.figures["test"] or not self.test]


def planned(names: list[str], seeds: list[int], params_file: str | Path, overrides: list[str]) -> list[Row]:
    """Return the rows to measure; those that they build on have the first seed.

    Raises:
        ValueError: a name that accuracy.yaml does not have, among `names` or as a teacher or start in `overrides`; or
            a row that would build on itself.
    """
    known = yaml.safe_load(ROWS.read_text())

    def row(name: str, seed: int, above: tuple[str, ...] = ()) -> Row:
        """Return a row with those that it builds on; `above` are those that build on it."""
        asked = "train.teachers or train.start_from" if above else "--rows"
        if name not in known:
            raise ValueError(f"{asked}: no row is called {name!r}; there are {', '.join(map(repr, known))}")
        if name in above:
            raise ValueError(f"{asked}: the row {name!r} would build on itself; give such a row its own line in {ROWS}")
        changes = tuple(f"{key}={json.dumps(value)}" for key, value in known[name]["change"].items())
        params = load_params(params_file, (*BASE, *overrides, *changes))
        others = dict.fromkeys((*params.train.teachers, *filter(None, [params.train.start_from])))
        return Row(name, known[name]["reads"], seed, params, known[name].get("test", True), known[name]["change"],
                   tuple(row(other, seeds[0], (*above, name)) for other in others))

    return [row(name, seed) for name in names or known for seed in seeds]


def measure(row: Row, pages: PageSet, records: Path, validation: Path, kept: Path) -> None:
    """Train one row unless its checkpoint is kept, evaluate it, and put its figures into an MLflow run."""
    checkpoint = _trained(row, records, validation, kept)
    meta = json.loads((checkpoint / "model.json").read_text())
    figures = {"test": _on_test(row, checkpoint, pages, records) if row.test else {},
               **{name: meta[name] for name in ("parameters", "seconds", "validate_auroc", "device", "epochs")},
               "hardware": meta.get("hardware", meta["device"]),  # earlier versions did not tell
               "trained_on": len(RecordStore.open(records).rows("train"))}
    made = {"git_commit": meta["git_commit"], "data_digest": meta["data_digest"], "train_run": meta["run_id"],
            "checkpoint_digest": checkpoint_digest(checkpoint)}
    made |= row.about_others
    for other in row.others:
        made[f"checkpoint_digest of {_slug(other.name)}"] = checkpoint_digest(_folder(kept, other.name, other.seed))
    record(row.params.tracking, Run(row.name, row.reads, row.seed, settings(row.params), described(pages), figures,
                                    made, at=int(time.time() * 1000)))


def _trained(row: Row, records: Path, validation: Path, kept: Path) -> Path:
    """Return the row's checkpoint, trained now unless it is kept, after those of the rows that it builds on."""
    from components.train.step import run as train

    places = {other.name: str(_trained(other, records, validation, kept)) for other in row.others}
    p, checkpoint = row.params, _folder(kept, row.name, row.seed)
    params = _with_others(p.train, places.get)
    if not _is_of(checkpoint, row, params, RecordStore.open(records).digest):
        train(records=records, validation=validation, checkpoint=checkpoint, params=params, model=p.model, page=p.page,
              tracking=p.tracking, seed=row.seed, state=kept / "state", resume=True)
    return checkpoint


def _on_test(row: Row, checkpoint: Path, pages: PageSet, records: Path) -> dict:
    """Return the macro figures of the test split by capture, as the evaluate step has them."""
    from components.evaluate.step import read

    params = row.params.evaluate
    with tempfile.TemporaryDirectory() as folder:
        readings = tuple(Path(folder, str(number)) for number in range(len(pages.captures)))
        for capture, reading in zip(pages.captures, readings, strict=True):
            read(checkpoint=checkpoint, pages=pages.path, readings=reading, capture=capture, params=params,
                 records=records)
        predictions = gathered(readings, checkpoint=checkpoint_digest(checkpoint), pages=pages)
    measured = evaluation.measure(predictions, label_names=pages.label_names, params=params, seed=row.seed)
    return {view: block["macro"] for view, block in measured["test"].items()}


def _folder(kept: Path, name: str, seed: int) -> Path:
    return kept / f"{_slug(name)}-{seed}"


def _with_others(params: TrainParams, called: Callable[[str], str]) -> TrainParams:
    """Return the parameters with the rows that they build on, teachers and a start, called otherwise."""
    return replace(params, teachers=tuple(map(called, params.teachers)),
                   start_from=params.start_from and called(params.start_from))


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9_]+", "-", name.lower()).strip("-")


def _is_of(checkpoint: Path, row: Row, params: TrainParams, data_digest: str) -> bool:
    """Tell whether a folder holds this row's checkpoint; what reads no page does not depend on the page."""
    if not (checkpoint / "model.json").exists():
        return False
    meta = json.loads((checkpoint / "model.json").read_text())
    p, trained = row.params, from_dict(TrainParams, meta["train"], "train")
    # Wherever they lie: another row's folder is called by the row, and its seed.
    trained, params = (_with_others(decisive(one), lambda folder: Path(folder).name) for one in (trained, params))
    drawn = "page" in build(p.model, classes=1, page=p.page).reads
    # Another row that was trained again kept its folder's name, not its digest; earlier versions did not tell it.
    others = [checkpoint_digest(_folder(checkpoint.parent, other.name, other.seed)) for other in row.others]
    told = list(meta["built_on"].values()) if "built_on" in meta else others
    same = (trained == params and told == others and from_dict(ModelParams, meta["model"], "model") == p.model
            and (not drawn or from_dict(PageParams, meta["page"], "page") == p.page)
            and (meta["seed"], meta["data_digest"]) == (row.seed, data_digest))
    say(f"{row.name}: " + (f"kept in {checkpoint}" if same else f"{checkpoint} was trained otherwise; trained again"))
    return same


def main(arguments: list[str] | None = None) -> None:
    """Measure what MLflow does not have, and print the table."""
    parser = argparse.ArgumentParser(prog="vizecg bench accuracy", description=__doc__.split("\n")[0],
                                     epilog=" ".join(__doc__.split("\n\n")[2].split()))
    parser.add_argument("--rows", nargs="*", default=[], metavar="NAME", help="lines of accuracy.yaml (all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7], metavar="N", help="a run for each (7)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--params", default="params.yaml", metavar="FILE", help="file of every knob (params.yaml)")
    source.add_argument("--recipe", choices=sorted(path.stem for path in RECIPES.glob("*.yaml")), help="instead of it")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    parser.add_argument("--over", metavar="NAME", help="a row of those printed: say below the table by how much "
                        "the others lie above it, before rounding")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--print", action="store_true", dest="only_print", help="train nothing, print what there is: "
                         "on any pages, or on those of --pages")
    instead.add_argument("--import", type=Path, nargs="?", const=KEPT, metavar="FILE", dest="taken",
                         help="only record the runs of a file in MLflow (those that come with the project)")
    instead.add_argument("--export", type=Path, metavar="FILE", dest="given", help="only write MLflow's runs of this "
                         "benchmark into a file, beside those that it has")
    parser.add_argument("--keep", type=Path, default=Path("local/accuracy"), metavar="DIR",
                        help="checkpoints, one folder a row and seed (local/accuracy)")
    for name, step in PLACES:
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"({STEPS[step].folder})")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        params_file = Path(options.params)
        if options.recipe:
            compose(options.recipe, params_file := Path(folder, "params.yaml"))
        rows = planned(options.rows, options.seeds, params_file, options.overrides)
    if options.over and options.over not in {row.name for row in rows}:
        raise ValueError(f"--over: {options.over!r} is none of the rows printed; name it in --rows too")
    if options.taken or options.given:
        _carry(rows[0].params.tracking, options)
        return
    if options.only_print:
        _print(rows, PageSet.open(options.pages) if options.pages else None, options.over)
        return
    pages, records, validation = (getattr(options, name) or Path(STEPS[step].folder) for name, step in PLACES)
    page_set = PageSet.open(pages)
    for row in rows:
        if row.among(recorded(row.params.tracking), page_set):
            say(f"{row.name}, seed {row.seed}: recorded already")
        else:
            measure(row, page_set, records, validation, options.keep)
    _print(rows, page_set, options.over)


def _carry(tracking: TrackingParams, options: argparse.Namespace) -> None:
    """Bring runs in from a file, or write them into one."""
    if options.taken:
        say(f"bench accuracy: {take(tracking, options.taken)} runs of {options.taken} recorded in "
            f"{shown(tracking.uri)}; --print prints them, with the --recipe, --set and --seeds of their training")
    else:
        say(f"bench accuracy: {export(tracking, options.given)} runs more in {options.given}")


def _print(rows: list[Row], pages: PageSet | None, over: str | None) -> None:
    """Print a table for each set of pages that the rows' runs have read, and what rows gain over one of them."""
    known = recorded(rows[0].params.tracking)
    runs = [row.among(known, pages) for row in rows]
    if lacking := sum(not mine for mine in runs):
        others = (f"; there are {len(known)} others, trained with another --recipe, --set or --seeds" if known else
                  "; --import brings those that come with the project")
        say(f"bench accuracy: of {lacking} of {len(rows)} rows and seeds no run with these parameters "
            f"{'and pages ' if pages else ''}is recorded" + (others if lacking == len(rows) else ""))
    named = [(row.name, mine) for row, mine in zip(rows, runs, strict=True)]
    if printed := tables(named):
        print(printed)
        if over:
            print(f"\n{gains(named, over)}")


if __name__ == "__main__":
    main()
