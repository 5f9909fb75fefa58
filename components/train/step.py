"""train: record store to checkpoint and history, tracked in MLflow."""

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import nn

from components.lineage import lineage, params_hash
from components.progress import say, track
from components.tracking import flat_params, log_dataset, start_run
from components.train.bucket import is_bucket
from components.train.cluster import train_on_cluster
from components.train.shared import shared
from components.train.teachers import taught
from ecg.records import RecordStore, write_beside
from model.baselines import Network, build
from model.checkpoint import checkpoint_digest, load_checkpoint, read_json, save_checkpoint
from model.data import PageSource
from model.distributed import World, among_others, join, launch
from model.loop import Trained, Trainer
from model.params import ModelParams, PageParams, TrackingParams, TrainParams
from model.states import States
from model.typed import as_dict, from_dict

WHAT_READS = ("architecture", "image_widths", "image_depths", "token_dim", "heads", "pool_grid", "attention_depth",
              "smam", "smam_place", "lead_positions")
"""Fields of the model that the weights of the image stream depend on."""
LOGGED = ("validate_auroc", "learning_rate", "images_per_second", "page_scale")
INDIFFERENT = ("processes", "workers", "accumulate", "checkpoint_every", "save_minutes", "save_steps", "compile",
               "profile", "nodes", "shared", "image", "runtime", "accelerator", "secret")
"""Fields of a training that may change when it is resumed: they do not decide what it comes to."""
LOGGED_KINDS = ("loss", "seconds", "gpu_")
TRACE = "trace.json.gz"
"""What the profiler saw, in the checkpoint's folder: for Perfetto, or chrome://tracing."""


@dataclass(frozen=True)
class TrainResult:
    """What a training came to: the run in MLflow, and macro AUROC of the image alone on validation pages."""

    run_id: str
    epochs: int
    validate_auroc: float
    seconds: float


def run(*, records: Path, validation: Path, checkpoint: Path, params: TrainParams, model: ModelParams,
        page: PageParams, tracking: TrackingParams, seed: int, state: Path | str | None = None,
        resume: bool = False) -> TrainResult:
    """Train VizECGNet on the train split and write a checkpoint folder.

    Among the processes of torchrun each calls this, and the first writes the checkpoint and the MLflow run. Started
    alone with `train.processes` above 1, it starts them here; with `train.nodes` above 1, in a TrainJob's pods.

    Args:
        records: the record store.
        validation: what `validate` wrote about it; a store that failed is refused.
        checkpoint: the folder to write.
        params, model, page, tracking: sections of params.yaml.
        seed: of weights, order and augmentation.
        state: folder, or `s3://BUCKET/PREFIX`, in which the whole state is kept until the checkpoint is written,
            outside every step's output; each run (parameters, data, seed) has its own files there. A TrainJob's is
            kept in `train.shared`.
        resume: go on from this run's state; where there is none the run starts at zero, and says so.

    Raises:
        ValueError: the store failed validation, belongs to another validation, or has no record of a split;
            the state cannot be read.
        Preempted: SIGTERM came; the state is written, and `resume` goes on from it.
    """
    if params.nodes > 1 and not among_others():
        return _on_cluster(records, validation, checkpoint, params=params, model=model, page=page, tracking=tracking,
                           seed=seed, resume=resume)
    if params.processes > 1 and not among_others():
        return launch(run, params.processes, {
            "records": records, "validation": validation, "checkpoint": checkpoint, "params": params, "model": model,
            "page": page, "tracking": tracking, "seed": seed, "state": state, "resume": resume})
    world = join()
    store = RecordStore.open(records)
    checked = _refuse_unvalidated(validation, store)
    signature = _signature(store, params, model, page, seed)
    _refuse_unfitting(params, model, page)
    torch.manual_seed(seed)
    net = build(model, classes=len(store.label_names), page=page)
    train, validate = _sources(store, params, page, seed, drawn="page" in net.reads)
    net.start_from_prevalence(torch.from_numpy(train.targets.mean(axis=0)))
    if params.start_from:
        _begin_with(Path(params.start_from), net, store, model)
    if params.teachers:
        soft = taught(params.teachers, store, train.rows, kept=_local(state)) if world.leads else None
        train = replace(train, soft=world.from_leader(soft))
    states = _states(state, signature, resume, world)
    with contextlib.ExitStack() as leaving:
        trace = Path(leaving.enter_context(tempfile.TemporaryDirectory()), TRACE) if world.leads else None
        trainer = Trainer(net, train=train, validate=validate, params=params, seed=seed, states=states,
                          signature=signature, world=world, say=say, trace=trace)
        started = time.monotonic()
        if not world.leads:
            history = trainer.run(on_step=lambda _: None, on_epoch=lambda _: None).history
            return TrainResult("", len(history), history[-1]["validate_auroc"], time.monotonic() - started)
        tags = {**lineage(params, model, page), "data_digest": store.digest, "step": "train"}
        mlflow = leaving.enter_context(start_run(tracking, name="train", tags=tags, machine=True))
        mlflow.log_params({**flat_params(train=params, model=model, page=page), "seed": seed, "processes": world.size})
        log_dataset(mlflow, digest=store.digest, name="records", context="training", records=len(store))
        if (validation / "data_docs").is_dir():
            mlflow.log_artifacts(str(validation / "data_docs"), "data_docs")
        trained = _run(trainer, mlflow)
        meta = {"label_names": store.label_names, "page": as_dict(page), "model": as_dict(model),
                "train": as_dict(params), "seed": seed, **tags, "run_id": mlflow.active_run().info.run_id,
                "tracking_uri": tracking.uri, "validation": checked,
                "precision": str(trainer.dtype).removeprefix("torch."),
                "device": trainer.device.type, "hardware": world.hardware, "processes": world.size,
                "epochs": len(trained.history),
                "parameters": sum(p.numel() for p in trained.net.parameters()),
                "validate_auroc": trained.history[-1]["validate_auroc"],
                "seconds": sum(row["seconds"] for row in trained.history)}
        _write(checkpoint, trained, meta, trace, mlflow)
        if states:
            states.clear()
        return TrainResult(meta["run_id"], meta["epochs"], meta["validate_auroc"], time.monotonic() - started)


def _write(checkpoint: Path, trained: Trained, meta: dict, trace: Path, mlflow) -> None:
    """Write the checkpoint, with the profiler's trace where there is one, and tell MLflow of it."""
    with write_beside(checkpoint) as folder:
        save_checkpoint(folder, trained.net, meta=meta, history=trained.history)
        if trace.exists():
            shutil.copyfile(trace, folder / TRACE)
    for name in ("history.json", *([TRACE] if trace.exists() else [])):
        mlflow.log_artifact(str(checkpoint / name))
    mlflow.set_tag("checkpoint_digest", checkpoint_digest(checkpoint))


def _on_cluster(records: Path, validation: Path, checkpoint: Path, *, params: TrainParams, model: ModelParams,
                page: PageParams, tracking: TrackingParams, seed: int, resume: bool) -> TrainResult:
    """Train in a TrainJob; what would be refused there is refused here, before anything is sent."""
    store = RecordStore.open(records)
    _refuse_unvalidated(validation, store)
    _refuse_unfitting(params, model, page)
    return TrainResult(**train_on_cluster(
        store, validation, checkpoint, params=params, model=model, page=page, tracking=tracking, seed=seed,
        run=_signature(store, params, model, page, seed)[:16], resume=resume, say=say))


def _run(trainer: Trainer, mlflow) -> Trained:
    """Run what is left of the epochs, with a progress bar and a line and a point in MLflow for each."""
    for row in trainer.history:
        mlflow.log_metrics(_logged(row), step=row["epoch"])
    left = trainer.params.epochs * trainer.steps_per_epoch - trainer.done
    bar, begun = track(range(left), total=left, label="train"), psutil.Process().create_time()
    awaited = iter(("the first step",))

    def on_step(_: dict) -> None:
        if next(awaited, None):
            mlflow.log_metric("seconds_to_first_step", time.time() - begun)
        next(bar, None)

    def on_epoch(row: dict) -> None:
        mlflow.log_metrics(_logged(row), step=row["epoch"])
        say(f"epoch {row['epoch']}/{trainer.params.epochs}  loss {row['loss']:.4f}  image-only validation AUROC "
            f"{row['validate_auroc']:.4f}  {row['images_per_second']:.0f} pages/s")

    trained = trainer.run(on_step=on_step, on_epoch=on_epoch)
    next(bar, None)
    return trained


def _logged(row: dict) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith(LOGGED_KINDS) or name in LOGGED}


def _sources(store: RecordStore, params: TrainParams, page: PageParams, seed: int, *,
             drawn: bool) -> tuple[PageSource, PageSource]:
    labels = store.labels.astype(np.float32)
    rows = {split: store.rows(split) for split in ("train", "validate")}
    store.refuse_without_signal(np.concatenate(list(rows.values())), "training draws its pages from signals: name them "
                                "in the column signal of labels.csv, or train on another store and measure on this one")
    targets = labels[rows["train"]]
    if params.shuffle_labels:
        targets = np.random.default_rng(seed).permutation(targets)
    return (PageSource(store, rows["train"], targets, page, params.augment, seed, params.layouts, params.wear, drawn,
                       traced=drawn and params.lambda_trace > 0, mixup=params.mixup,
                       any_second=params.any_second, sampling=params.sampling),
            PageSource(store, rows["validate"], labels[rows["validate"]], page, 0.0, seed, drawn=drawn))


def _begin_with(checkpoint: Path, net: Network, store: RecordStore, model: ModelParams) -> None:
    """Give the network the weights of a checkpoint that reads pages alike and knows the same findings.

    Parts that only training has (signal stream, CMAM, digitiser) are taken where they fit, and begin anew elsewhere.
    """
    other, meta = load_checkpoint(checkpoint)
    theirs = from_dict(ModelParams, meta["model"], "model")
    differing = [f"model.{name}" for name in WHAT_READS if getattr(theirs, name) != getattr(model, name)]
    if list(store.label_names) != list(meta["label_names"]):
        differing.append("label_names")
    if differing:
        raise ValueError(f"train.start_from: {checkpoint} has another {', '.join(differing)}; begin with one trained "
                         "alike")
    for name, part in net.named_children():
        begun = getattr(other, name, None)
        if begun is not None and _shapes(begun) == _shapes(part):
            part.load_state_dict(begun.state_dict())


def _shapes(part: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in part.state_dict().items()}


def _refuse_unfitting(params: TrainParams, model: ModelParams, page: PageParams) -> None:
    for name, part in (("lambda_trace", "digitiser"), ("lambda_align", "signal_stream"),
                       ("lambda_attention", "signal_stream")):
        if getattr(params, name) and not (getattr(model, part) and model.architecture == "vizecgnet"):
            raise ValueError(f"train.{name}: needs model.{part} of the architecture vizecgnet; set it to 0")
    if model.lead_positions and not set(params.layouts) <= {page.layout}:
        raise ValueError(f"model.lead_positions: knows where the leads of {page.layout} lie; leave train.layouts empty")


def _refuse_unvalidated(validation: Path, store: RecordStore) -> dict:
    """Return what of the validation the checkpoint remembers."""
    result = read_json(validation / "validation.json", made_by="vizecg validate")
    if not result["success"]:
        raise ValueError(f"{validation}/validation.json: the store failed {', '.join(result['critical_failed'])}; "
                         "mend the data and ingest it again")
    if result["data_digest"] != store.digest:
        raise ValueError(f"{validation}/validation.json: validates another store than {store.path}; "
                         "run 'vizecg validate' again")
    return {"expectations": len(result["expectations"]), "warnings": result["warnings"]}


def _local(state: Path | str | None) -> Path | None:
    return None if state is None or is_bucket(state) else Path(state)


def _states(state: Path | str | None, signature: str, resume: bool, world: World) -> States | None:
    """Return where this run keeps its states; a run that does not resume begins by forgetting them."""
    if state is None:
        return None
    states = States(shared(str(state)), signature[:16], warn=say)
    if world.leads:
        if not resume:
            states.clear()
        say(f"{'resuming from' if states.found() else 'starting at epoch 1, states kept in'} {state}")
    return states


def _signature(store: RecordStore, params: TrainParams, model: ModelParams, page: PageParams, seed: int) -> str:
    decisive = replace(params, **{name: getattr(TrainParams(), name) for name in INDIFFERENT})
    text = json.dumps([params_hash(decisive, model, page), store.digest, seed])
    return hashlib.sha256(text.encode()).hexdigest()
