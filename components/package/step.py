"""package: checkpoint to the exported model, parity-checked, with a sample answer and the archive for TorchServe."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.lineage import lineage
from ecg.pages import PageSet
from ecg.records import write_beside
from model.checkpoint import checkpoint_digest, load_checkpoint, read_json
from model.export import PARITY_BATCHES, check_parity, export_reader, load_reader, save_reader
from model.network import VizECGNet
from model.package import decided_on, description_digest, evaluation_digest, package_digest
from model.params import PackageParams
from model.reading import PROGRAMS, SCHEMA_VERSION, PageReading, file_digest, probabilities
from model.runtimes import OnnxReader, write_onnx
from model.typed import as_dict
from serving.archive import write_archive

FROM_CHECKPOINT = ("label_names", "page", "data_digest", "git_commit", "params_hash", "run_id", "parameters")


@dataclass(frozen=True)
class PackageResult:
    """What was packaged: its version, its digest, whether the gate let it pass, and what the export cost."""

    version: str
    digest: str
    passed: bool
    parity: float
    megabytes: float


def run(*, checkpoint: Path, pages: Path, evaluation: Path, decision: Path, package: Path, params: PackageParams,
        seed: int) -> PackageResult:
    """Export the image stream, compare it with the checkpoint, and write the package folder.

    A model that failed the gate is packaged too, and says so; register and deploy refuse it.

    Args:
        checkpoint: the checkpoint folder.
        pages: the pages folder: pages for the comparison, and a full-size one as the sample.
        evaluation: what evaluate wrote about this checkpoint: thresholds and figures.
        decision: what gate wrote about this evaluation.
        package: the folder to write.
        params: section package of params.yaml.
        seed: which pages are compared.

    Raises:
        ValueError: evaluation or decision are about another checkpoint, the export differs from the checkpoint
            by more than `params.parity`, there is no full-size sample page, or an input is damaged.
    """
    net, meta = load_checkpoint(checkpoint)
    decided = decided_on(evaluation, decision, checkpoint=checkpoint_digest(checkpoint))
    page_set = PageSet.open(pages)
    if dict(page_set.page) != dict(meta["page"]):
        raise ValueError(f"{pages}/pages.json: page is not the checkpoint's; render again with its page")
    with write_beside(package) as folder:
        parity = _export(folder, net, meta, _some_pages(page_set, seed), limit=params.parity)
        papers = {"gate": {"passed": decided["passed"]}, "decision_digest": file_digest(decision / "decision.json"),
                  "evaluation_digest": evaluation_digest(evaluation),
                  "made_with": _made_with(meta, page_set, evaluation, decided, params)}
        description = _describe(folder, meta, checkpoint, evaluation, params, papers=papers, parity=parity)
        _write_json(folder / "model.json", description)
        _add_sample(folder, pages)
        write_archive(folder, name=params.name, version=description["version"])
        digest = package_digest(folder)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return PackageResult(description["version"], digest, decided["passed"], parity, size)


def _export(folder: Path, net: VizECGNet, meta: dict, pages: np.ndarray, *, limit: float) -> float:
    """Write both programs, each compared with the network; returns the larger difference."""
    program, onnx = (folder / name for name in PROGRAMS)
    save_reader(export_reader(net, meta), program)
    parity = check_parity(program, load_reader, net, pages, limit=limit)
    write_onnx(program, onnx)
    return max(parity, check_parity(onnx, OnnxReader, net, pages, limit=limit))


def _some_pages(pages: PageSet, seed: int) -> np.ndarray:
    """As many pages as the largest batch of the comparison, drawn from all captures."""
    rng = np.random.default_rng(seed)
    array = pages.array(pages.captures[rng.integers(len(pages.captures))])
    rows = rng.choice(len(array), size=min(max(PARITY_BATCHES), len(array)), replace=False)
    return array[np.sort(rows)]


def _describe(folder: Path, meta: dict, checkpoint: Path, evaluation: Path, params: PackageParams, *, papers: dict,
              parity: float) -> dict:
    """What model.json says. The version is a digest of the rest: other weights or thresholds, another version."""
    metrics = read_json(evaluation / "metrics.json", made_by="vizecg evaluate")
    description = {
        "schema": SCHEMA_VERSION, "name": params.name,
        **{digest: file_digest(folder / name) for name, digest in PROGRAMS.items()},
        "checkpoint_digest": checkpoint_digest(checkpoint), **{name: meta[name] for name in FROM_CHECKPOINT},
        "thresholds": read_json(evaluation / "thresholds.json", made_by="vizecg evaluate"),
        "certainty": _certainty(metrics), "refusal": metrics["refusal"]["test"],
        **papers, "parity": parity, "packaged_by": lineage(params), "train_image": meta.get("image_digest", "none"),
        "metrics": {capture: block["macro"] for capture, block in metrics["test"].items()}}
    return {**description, "version": description_digest(description)}


def _made_with(meta: dict, pages: PageSet, evaluation: Path, decided: dict, params: PackageParams) -> dict:
    """The parameters behind this package, a section a step: all that it takes to make it again."""
    measured = read_json(evaluation / "metrics.json", made_by="vizecg evaluate")
    return {"seed": meta["seed"], **pages.made_with, **{name: meta[name] for name in ("page", "model", "train")},
            "evaluate": measured["params"], "gate": decided["params"], "package": as_dict(params)}


def _certainty(metrics: dict) -> dict:
    """Calibration and conformal bounds, from the figures that gate has measured again."""
    block = next(iter(metrics["test"].values()))
    return {"coverage": metrics["params"]["coverage"],
            "findings": {name: figures["calibration"] for name, figures in block["classes"].items()}}


def _add_sample(folder: Path, pages: Path) -> None:
    """Add a full-size page and the package's own answer to it, which a server must give as well."""
    try:
        name = pd.read_csv(pages / "samples" / "labels.csv", dtype=str)["file"].iloc[0]
    except (FileNotFoundError, IndexError, KeyError):
        raise ValueError(f"{pages}/samples: no full-size page to try the package on; render again with "
                         "render.samples of at least 1") from None
    shutil.copyfile(pages / "samples" / name, folder / "sample.png")
    answer = PageReading.open(folder).read((folder / "sample.png").read_bytes())
    _write_json(folder / "sample.json", {"record": Path(name).stem, "probabilities": probabilities(answer)})


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
