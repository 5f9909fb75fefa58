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

from components.lineage import lineage, params_hash
from components.progress import say, track
from components.tracking import flat_params, log_dataset, shown, start_run
from components.train.begin import before, begin_with, pretraining, take
from components.train.bucket import is_bucket
from components.train.cluster import train_on_cluster
from components.train.shared import shared
from components.train.teachers import asked_each_time, taught
from ecg.records import RecordStore, write_beside
from model.baselines import SIGNAL_MODELS, Network, build
from model.checkpoint import checkpoint_digest, read_json, save_checkpoint
from model.data import PageSource
from model.distributed import World, among_others, join, launch
from model.loop import Trained, Trainer
from model.params import ModelParams, PageParams, TrackingParams, TrainParams
from model.states import States
from model.typed import as_dict

LOGGED = ("validate_auroc", "learning_rate", "images_per_second", "page_scale")
INDIFFERENT = ("processes", "workers", "checkpoint_every", "save_minutes", "save_steps", "compile",
               "profile", "nodes", "shared", "image", "runtime", "accelerator", "secret")
"""Fields of a training that may change when it is resumed: they do not decide what it comes to."""
LOGGED_KINDS = ("loss", "seconds", "gpu_")
RUN = 16
"""Characters of a run's signature that its states and shared files are named by."""
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
    _refuse_unfitting(params, model, page)
    torch.manual_seed(seed)
    net = build(model, classes=len(store.label_names), page=page)
    train, validate = _sources(store, params, page, seed, drawn="page" in net.reads)
    net.start_from_prevalence(torch.from_numpy(train.targets.mean(axis=0)))
    if params.start_from:
        begin_with(Path(params.start_from), net, store, model)
    teachers = asked_each_time(params.teachers, store.label_names) if params.ask_teachers == "each" else []
    if params.teachers and not teachers:
        soft = taught(params.teachers, store, train.rows, kept=_local(state)) if world.leads else None
        train = replace(train, soft=world.from_leader(soft))
    built_on = _built_on(params)
    signature = _signature(store, params, model, page, seed)
    states = [_states(state, name, resume, world) for name in (signature[:RUN], before(signature[:RUN]))]
    if state is not None and world.leads:
        found = any(kept.found() for kept in states)
        say(f"{'resuming from' if found else 'starting at epoch 1, states kept in'} {state}")
    common = dict(seed=seed, world=world, say=say)
    with contextlib.ExitStack() as leaving:
        trace = Path(leaving.enter_context(tempfile.TemporaryDirectory()), TRACE) if world.leads else None
        started, mlflow = time.monotonic(), None
        tags = {**lineage(params, model, page), "data_digest": store.digest, "step": "train"}
        if world.leads:
            mlflow = leaving.enter_context(start_run(tracking, name="train", machine=True,
                                                     tags={**tags, "built_on": " ".join(built_on.values())}))
            _log_begin(mlflow, store, validation, {**flat_params(train=params, model=model, page=page), "seed": seed,
                                                   "processes": world.size})
        first = []
        if params.pretrain:
            first = _pretrain(net, store, mlflow, params=params, model=model, page=page,
                              states=states[1], signature=before(signature), **common)
        trainer = Trainer(net, train=train, validate=validate, params=params, states=states[0],
                          signature=signature, trace=trace, teachers=teachers, **common)
        trained = _run(trainer, mlflow)
        if not world.leads:
            return TrainResult("", len(trained.history), trained.history[-1]["validate_auroc"],
                               time.monotonic() - started)
        meta = {"label_names": store.label_names, "page": as_dict(page), "model": as_dict(model),
                "train": as_dict(params), "built_on": built_on, "seed": seed, **tags,
                "run_id": mlflow.active_run().info.run_id, "tracking_uri": shown(tracking.uri), "validation": checked,
                **_came_to(trainer, trained, first)}
        _write(checkpoint, trained, meta, trace, mlflow)
        for kept in filter(None, states):
            kept.clear()
        return TrainResult(meta["run_id"], meta["epochs"], meta["validate_auroc"], time.monotonic() - started)


def _came_to(trainer: Trainer, trained: Trained, first: list[dict]) -> dict:
    """What the checkpoint says of how it was trained; `first` is the history of pretraining."""
    return {"precision": str(trainer.dtype).removeprefix("torch."), "device": trainer.device.type,
            "hardware": trainer.world.hardware, "processes": trainer.world.size,
            "epochs": len(trained.history), "pretraining": first,
            "parameters": sum(p.numel() for p in trained.net.parameters()),
            "validate_auroc": trained.history[-1]["validate_auroc"],
            "seconds": sum(row["seconds"] for row in (*first, *trained.history))}


def _log_begin(mlflow, store: RecordStore, validation: Path, settings: dict) -> None:
    """Tell MLflow what is trained, on which records, and how these were validated."""
    mlflow.log_params(settings)
    log_dataset(mlflow, digest=store.digest, name="records", context="training", records=len(store))
    if (validation / "data_docs").is_dir():
        mlflow.log_artifacts(str(validation / "data_docs"), "data_docs")


def _pretrain(net: Network, store: RecordStore, mlflow, *, params: TrainParams, model: ModelParams, page: PageParams,
              seed: int, **trainer) -> list[dict]:
    """Let the image stream read signals off masked pages before it sees a label; return that phase's history."""
    first_params, first_model = pretraining(params, model)
    first = build(first_model, classes=len(store.label_names), page=page)
    take(net, first)
    train, _ = _sources(store, first_params, page, seed, drawn=True)
    trained = _run(Trainer(first, train=train, validate=None, params=first_params, seed=seed, **trainer), mlflow,
                   phase="pretrain")
    take(trained.net, net)
    return trained.history


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
    run = _signature(store, params.alone(), model, page, seed)[:RUN]  # the rest `train_on_cluster` refuses
    return TrainResult(**train_on_cluster(
        store, validation, checkpoint, params=params, model=model, page=page, tracking=tracking, seed=seed, run=run,
        resume=resume, say=say))


def _run(trainer: Trainer, mlflow, *, phase: str = "train") -> Trained:
    """Run what is left of the epochs, with a progress bar and a line and a point in MLflow for each.

    Without MLflow, in all processes but the first, nothing is said. What pretraining logs is called `pretrain_...`.
    """
    if mlflow is None:
        return trainer.run(on_step=lambda _: None, on_epoch=lambda _: None)
    prefix, named = ("", "") if phase == "train" else (f"{phase}_", f"{phase} ")

    def log(row: dict) -> None:
        mlflow.log_metrics({prefix + name: value for name, value in _logged(row).items()}, step=row["epoch"])

    for row in trainer.history:
        log(row)
    left = trainer.params.epochs * trainer.steps_per_epoch - trainer.done
    bar, begun = track(range(left), total=left, label=phase), psutil.Process().create_time()
    awaited = iter((prefix + "seconds_to_first_step",))

    def on_step(_: dict) -> None:
        if name := next(awaited, None):
            mlflow.log_metric(name, time.time() - begun)
        next(bar, None)

    def on_epoch(row: dict) -> None:
        log(row)
        read = f"  image-only validation AUROC {row['validate_auroc']:.4f}" if "validate_auroc" in row else ""
        say(f"{named}epoch {row['epoch']}/{trainer.params.epochs}  loss {row['loss']:.4f}{read}  "
            f"{row['images_per_second']:.0f} pages/s")

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


def _refuse_unfitting(params: TrainParams, model: ModelParams, page: PageParams) -> None:
    for name, part in (("lambda_trace", "digitiser"), ("lambda_align", "signal_stream"),
                       ("lambda_attention", "signal_stream")):
        if getattr(params, name) and not (getattr(model, part) and model.architecture == "vizecgnet"):
            raise ValueError(f"train.{name}: needs model.{part} of the architecture vizecgnet; set it to 0")
    if model.digitiser and not params.lambda_trace:
        raise ValueError("model.digitiser: train.lambda_trace is 0, nothing would teach it; set it to false")
    if params.mask and model.architecture in SIGNAL_MODELS:
        raise ValueError(f"train.mask: blanks parts of pages, and {model.architecture} reads none; set it to 0")
    if params.pretrain and model.architecture != "vizecgnet":
        raise ValueError("train.pretrain: needs an image stream, the architecture vizecgnet; set it to 0")
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


def _states(state: Path | str | None, name: str, resume: bool, world: World) -> States | None:
    """Return where a run keeps its states; one that does not resume begins by forgetting them."""
    if state is None:
        return None
    states = States(shared(str(state)), name, warn=say)
    if world.leads and not resume:
        states.clear()
    return states


def _built_on(params: TrainParams) -> dict[str, str]:
    """Return the digest of each checkpoint that training learns from or begins with, by its folder.

    Folders that are trained again keep their names: their contents decide.
    """
    return {folder: checkpoint_digest(Path(folder)) for folder in (*params.teachers, params.start_from) if folder}


def decisive(params: TrainParams) -> TrainParams:
    """Return the parameters with those at their defaults that do not decide what a training comes to."""
    return replace(params, **{name: getattr(TrainParams(), name) for name in INDIFFERENT})


def _signature(store: RecordStore, params: TrainParams, model: ModelParams, page: PageParams, seed: int) -> str:
    text = json.dumps([params_hash(decisive(params), model, page), store.digest, seed, *_built_on(params).values()])
    return hashlib.sha256(text.encode()).hexdigest()
