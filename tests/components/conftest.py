"""A model that never learned, on real pages, through the real steps up to the gate: built once."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from ecg.records import write_beside
from model.checkpoint import save_checkpoint
from model.network import VizECGNet
from model.params import EvaluateParams, GateParams, PackageParams, PageParams, RenderParams, Rule
from model.typed import as_dict
from tests.model.tiny import TINY

PAGE = PageParams(height=96, width=192, px_per_mm=0.75)


@dataclasses.dataclass(frozen=True)
class Folders:
    """What package reads, and what it wrote."""

    checkpoint: Path
    pages: Path
    evaluation: Path
    decision: Path
    package: Path

    @property
    def inputs(self) -> dict[str, Path]:
        """The inputs of package."""
        return {name: getattr(self, name) for name in ("checkpoint", "pages", "evaluation", "decision")}


def write_random_checkpoint(folder: Path, store, *, seed: int) -> None:
    """A checkpoint with random weights that makes its mind up, so that pages differ in their answers."""
    torch.manual_seed(seed)
    net = VizECGNet(TINY, classes=len(store.label_names))
    with torch.no_grad():
        net.head_image.linear.weight.normal_(std=0.5)
    meta = {"label_names": store.label_names, "page": as_dict(PAGE), "model": as_dict(TINY), "train": {},
            "seed": seed, "data_digest": store.digest, "git_commit": "c0ffee", "params_hash": "f00d",
            "run_id": f"run-{seed}", "tracking_uri": "", "parameters": 1, "epochs": 1, "validate_auroc": 0.5,
            "seconds": 1.0, "precision": "float32", "device": "cpu"}
    history = [{"epoch": 1, "loss": 1.0, "loss_cls": 0.5, "loss_kd": 0.5, "validate_auroc": 0.5,
                "learning_rate": 1e-3, "images_per_second": 1.0, "page_scale": 1.0, "seconds": 1.0}]
    with write_beside(folder) as scratch:
        save_checkpoint(scratch, net, meta=meta, history=history)


def build(root: Path, store, pages: Path, *, seed: int, limit: float = 0.0) -> Folders:
    """Evaluate, judge and package a random model; it passes when its AUROC is at least `limit`."""
    import components.evaluate.step
    import components.gate.step
    import components.package.step

    folders = Folders(root / "checkpoint", pages, root / "evaluation", root / "decision", root / "package")
    write_random_checkpoint(folders.checkpoint, store, seed=seed)
    components.evaluate.step.run(checkpoint=folders.checkpoint, pages=pages, evaluation=folders.evaluation,
                                 params=EvaluateParams(resamples=20), seed=1)
    components.gate.step.run(**{name: folders.inputs[name] for name in ("evaluation", "checkpoint", "pages")},
                             decision=folders.decision, params=GateParams(rules=(Rule(limit=limit),)), seed=1)
    components.package.step.run(**folders.inputs, package=folders.package, params=PackageParams(), seed=1)
    return folders


@pytest.fixture(scope="session")
def pages(store, tmp_path_factory):
    from components.render.step import run

    folder = tmp_path_factory.mktemp("rendered") / "pages"
    run(records=store.path, pages=folder, params=RenderParams(samples=3, contact_sheet=2), page=PAGE, seed=1)
    return folder


@pytest.fixture(scope="session")
def packaged(store, pages, tmp_path_factory) -> Folders:
    """A model that passed its gate."""
    return build(tmp_path_factory.mktemp("packaged"), store, pages, seed=1)


@pytest.fixture(scope="session")
def another(store, pages, tmp_path_factory) -> Folders:
    """Another model that passed."""
    return build(tmp_path_factory.mktemp("another"), store, pages, seed=2)


@pytest.fixture(scope="session")
def refused(store, pages, tmp_path_factory) -> Folders:
    """A model that its gate refused."""
    return build(tmp_path_factory.mktemp("refused"), store, pages, seed=3, limit=0.999)


@pytest.fixture
def copied(packaged, tmp_path) -> Folders:
    """A copy of `packaged` to be spoiled."""
    for folder in (*packaged.inputs.values(), packaged.package):
        shutil.copytree(folder, tmp_path / folder.name)
    return Folders(*(tmp_path / name for name in ("checkpoint", "pages", "evaluation", "decision", "package")))


def edit_json(path: Path, **changes) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def packaged_otherwise(package: Path, folder: Path) -> Path:
    """A copy of a package that says that it once read its sample page a little otherwise."""
    copy = Path(shutil.copytree(package, folder / "packaged_otherwise"))
    said = json.loads((copy / "sample.json").read_text())
    first, *_ = said["probabilities"]
    said["probabilities"][first] += 0.01
    (copy / "sample.json").write_text(json.dumps(said))
    return copy
