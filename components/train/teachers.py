"""What fixed teachers say of the training records, computed once."""

import hashlib
import io
from pathlib import Path

import numpy as np

from components.progress import track
from ecg.files import write_whole
from ecg.records import RecordStore
from model.checkpoint import checkpoint_digest, load_checkpoint
from model.data import PageSource
from model.inference import predict_batches
from model.params import PageParams
from model.typed import from_dict


def taught(teachers: tuple[str, ...], store: RecordStore, rows: np.ndarray, *, kept: Path | None) -> np.ndarray:
    """Return the teachers' mean probability for each record, each reading what it reads.

    Args:
        teachers: checkpoint folders.
        store: the record store.
        rows: positions of the training records in it.
        kept: folder where each teacher's answers are kept for the next training; None keeps none.

    Returns:
        float32 (len(rows), C).

    Raises:
        ValueError: a folder is no checkpoint, or knows other findings than the store.
    """
    return np.mean([_answers(Path(folder), store, rows, kept) for folder in teachers], axis=0).astype(np.float32)


def _answers(teacher: Path, store: RecordStore, rows: np.ndarray, kept: Path | None) -> np.ndarray:
    net, meta = load_checkpoint(teacher)
    if list(meta["label_names"]) != list(store.label_names):
        raise ValueError(f"train.teachers: {teacher} knows {', '.join(meta['label_names'])}, the store has "
                         f"{', '.join(store.label_names)}")
    key = hashlib.sha256(f"{checkpoint_digest(teacher)} {store.digest}".encode() + np.ascontiguousarray(rows).tobytes())
    file = kept / f"teacher-{key.hexdigest()[:16]}.npy" if kept else None
    if file and file.exists():
        return np.load(file)
    source = PageSource(store, rows, np.zeros((len(rows), len(store.label_names)), np.float32),
                        from_dict(PageParams, meta["page"], "page"), 0.0, 0, drawn="page" in net.reads)
    renderers = source.renderers()
    chunks = np.array_split(np.arange(len(rows)), max(1, len(rows) // 64))
    answers = predict_batches(net, (source.draw(chunk, epoch=0, renderers=renderers)
                                    for chunk in track(chunks, label=f"train: teacher {teacher}")))
    if file:
        whole = io.BytesIO()
        np.save(whole, answers)
        write_whole(file, whole.getvalue())
    return answers
