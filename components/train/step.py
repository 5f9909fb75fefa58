"""train: record store to checkpoint and history, tracked in MLflow."""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from components.lineage import lineage, params_hash
from components.progress import say, track
from components.tracking import flat_params, start_run
from ecg.records import RecordStore, write_beside
from model.baselines import build
from model.checkpoint import checkpoint_digest, load_checkpoint, read_json, save_checkpoint
from model.data import PageSource
from model.inference import predict_batches
from model.loop import Trained, Trainer
from model.params import ModelParams, PageParams, TrackingParams, TrainParams, as_dict, from_dict

LOGGED = ("validate_auroc", "learning_rate", "images_per_second", "page_scale")


@dataclass(frozen=True)
class TrainResult:
    """What a training came to: the run in MLflow, and macro AUROC of the image alone on validation pages."""

    run_id: str
    epochs: int
    validate_auroc: float
    seconds: float


def run(*, records: Path, validation: Path, checkpoint: Path, params: TrainParams, model: ModelParams,
        page: PageParams, tracking: TrackingParams, seed: int, state: Path | None = None,
        resume: bool = False) -> TrainResult:
    """Train VizECGNet on the train split and write a checkpoint folder.

    Args:
        records: the record store.
        validation: what `validate` wrote about it; a store that failed is refused.
        checkpoint: the folder to write.
        params, model, page, tracking: sections of params.yaml.
        seed: of weights, order and augmentation.
        state: folder in which the whole state is kept until the checkpoint is written, outside every step's
            output; each run (parameters, data, seed) has its own file there.
        resume: go on from this run's state; where there is none the run starts at zero, and says so.

    Raises:
        ValueError: the store failed validation, belongs to another validation, or has no record of a split;
            the state cannot be read.
    """
    store = RecordStore.open(records)
    _refuse_unvalidated(validation, store)
    signature = _signature(store, params, model, page, seed)
    state_file = _state_file(state, signature, resume)
    _refuse_unfitting(params, model)
    torch.manual_seed(seed)
    net = build(model, classes=len(store.label_names))
    train, validate = _sources(store, params, page, seed, drawn="page" in net.reads)
    net.start_from_prevalence(torch.from_numpy(train.targets.mean(axis=0)))
    if params.start_from:
        net.load_state_dict(_weights(Path(params.start_from), store, model))
    if params.teachers:
        train = replace(train, soft=_taught(params.teachers, store, train.rows))
    trainer = Trainer(net, train=train, validate=validate, params=params, seed=seed, state=state_file,
                      signature=signature)
    tags = {**lineage(params, model, page), "data_digest": store.digest, "step": "train"}
    with start_run(tracking, name="train", tags=tags) as mlflow:
        mlflow.log_params({**flat_params(train=params, model=model, page=page), "seed": seed})
        started = time.monotonic()
        trained = _run(trainer, mlflow)
        meta = {"label_names": store.label_names, "page": as_dict(page), "model": as_dict(model),
                "train": as_dict(params), "seed": seed, **tags, "run_id": mlflow.active_run().info.run_id,
                "tracking_uri": tracking.uri, "precision": str(trainer.dtype).removeprefix("torch."),
                "device": trainer.device.type, "epochs": len(trained.history),
                "parameters": sum(p.numel() for p in trained.net.parameters()),
                "validate_auroc": trained.history[-1]["validate_auroc"],
                "seconds": sum(row["seconds"] for row in trained.history)}
        with write_beside(checkpoint) as folder:
            save_checkpoint(folder, trained.net, meta=meta, history=trained.history)
        if state_file:
            state_file.unlink()
        mlflow.log_artifact(str(checkpoint / "history.json"))
        mlflow.set_tag("checkpoint_digest", checkpoint_digest(checkpoint))
        return TrainResult(meta["run_id"], meta["epochs"], meta["validate_auroc"], time.monotonic() - started)


def _run(trainer: Trainer, mlflow) -> Trained:
    """Run what is left of the epochs, with a progress bar and a line and a point in MLflow for each."""
    for row in trainer.history:
        mlflow.log_metrics(_logged(row), step=row["epoch"])
    left = (trainer.params.epochs - len(trainer.history)) * trainer.steps_per_epoch
    bar = track(range(left), total=left, label="train")

    def on_epoch(row: dict) -> None:
        mlflow.log_metrics(_logged(row), step=row["epoch"])
        say(f"epoch {row['epoch']}/{trainer.params.epochs}  loss {row['loss']:.4f}  image-only validation AUROC "
            f"{row['validate_auroc']:.4f}  {row['images_per_second']:.0f} pages/s")

    trained = trainer.run(on_step=lambda _: next(bar, None), on_epoch=on_epoch)
    next(bar, None)
    return trained


def _logged(row: dict) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith("loss") or name in LOGGED}


def _sources(store: RecordStore, params: TrainParams, page: PageParams, seed: int, *,
             drawn: bool) -> tuple[PageSource, PageSource]:
    labels = store.labels.astype(np.float32)
    rows = {split: store.rows(split) for split in ("train", "validate")}
    targets = labels[rows["train"]]
    if params.shuffle_labels:
        targets = np.random.default_rng(seed).permutation(targets)
    return (PageSource(store, rows["train"], targets, page, params.augment, seed, params.layouts, params.wear, drawn,
                       traced=drawn and params.lambda_trace > 0, mixup=params.mixup,
                       any_second=params.any_second),
            PageSource(store, rows["validate"], labels[rows["validate"]], page, 0.0, seed, drawn=drawn))


def _weights(checkpoint: Path, store: RecordStore, model: ModelParams) -> dict:
    """Return the weights of a checkpoint of the same network and findings."""
    net, meta = load_checkpoint(checkpoint)
    for name, mine, theirs in (("model", model, from_dict(ModelParams, meta["model"], "model")),
                               ("label_names", list(store.label_names), list(meta["label_names"]))):
        if mine != theirs:
            raise ValueError(f"train.start_from: {checkpoint} has another {name}; begin with one trained alike")
    return net.state_dict()


def _taught(teachers: tuple[str, ...], store: RecordStore, rows: np.ndarray) -> np.ndarray:
    """Return the teachers' mean probability for each record, float32 (len(rows), C), each reading what it reads."""
    means = []
    for folder in teachers:
        net, meta = load_checkpoint(folder)
        if list(meta["label_names"]) != list(store.label_names):
            raise ValueError(f"train.teachers: {folder} knows {', '.join(meta['label_names'])}, the store has "
                             f"{', '.join(store.label_names)}")
        source = PageSource(store, rows, np.zeros((len(rows), len(store.label_names)), np.float32),
                            from_dict(PageParams, meta["page"], "page"), 0.0, 0, drawn="page" in net.reads)
        renderers = source.renderers()
        chunks = np.array_split(np.arange(len(rows)), max(1, len(rows) // 64))
        means.append(predict_batches(net, (source.draw(chunk, epoch=0, renderers=renderers)
                                           for chunk in track(chunks, label=f"train: teacher {folder}"))))
    return np.mean(means, axis=0).astype(np.float32)


def _refuse_unfitting(params: TrainParams, model: ModelParams) -> None:
    for name, weight, part, there in (("lambda_trace", params.lambda_trace, "digitiser", model.digitiser),
                                      ("lambda_align", params.lambda_align, "signal_stream", model.signal_stream)):
        if weight and not (there and model.architecture == "vizecgnet"):
            raise ValueError(f"train.{name}: needs model.{part} of the architecture vizecgnet; set it to 0")


def _refuse_unvalidated(validation: Path, store: RecordStore) -> None:
    result = read_json(validation / "validation.json", made_by="vizecg validate")
    if not result["success"]:
        raise ValueError(f"{validation}/validation.json: the store failed {', '.join(result['critical_failed'])}; "
                         "mend the data and ingest it again")
    if result["data_digest"] != store.digest:
        raise ValueError(f"{validation}/validation.json: validates another store than {store.path}; "
                         "run 'vizecg validate' again")


def _state_file(state: Path | None, signature: str, resume: bool) -> Path | None:
    """Return where this run keeps its state; a run that does not resume begins by forgetting it."""
    if state is None:
        return None
    file = state / f"{signature[:16]}.pt"
    if not resume:
        file.unlink(missing_ok=True)
    say(f"{'resuming from' if file.exists() else 'starting at epoch 1, state kept in'} {file}")
    return file


def _signature(store: RecordStore, params: TrainParams, model: ModelParams, page: PageParams, seed: int) -> str:
    text = json.dumps([params_hash(params, model, page), store.digest, seed])
    return hashlib.sha256(text.encode()).hexdigest()
