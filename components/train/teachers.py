"""Fixed teachers: what they say of the training records, computed once, or they themselves, to be asked each time."""

import hashlib
import io
from pathlib import Path

import numpy as np

from components.progress import track
from ecg.files import write_whole
from ecg.records import RecordStore
from model.baselines import Network
from model.checkpoint import checkpoint_digest, load_checkpoint
from model.data import PageSource
from model.inference import predict_batches
from model.params import PageParams
from model.teaching import SignalTeacher
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
        ValueError: a folder is no checkpoint, or does not know one of the store's findings.
    """
    return np.mean([_answers(Path(folder), store, rows, kept) for folder in teachers], axis=0).astype(np.float32)


def asked_each_time(teachers: tuple[str, ...], names: tuple[str, ...]) -> list[SignalTeacher]:
    """Return the teachers themselves, which will answer each batch's signals as they are drawn.

    Args:
        teachers: checkpoint folders.
        names: the findings that are trained.

    Raises:
        ValueError: a folder is no checkpoint, does not know one of the findings, or reads pages.
    """
    found = []
    for folder in teachers:
        net, _, columns = _opened(Path(folder), names)
        if net.reads != ("signal",):
            raise ValueError(f"train.teachers: {folder} reads pages, and train.ask_teachers is each: only models of "
                             "signals can be asked so; take it out, or ask once")
        found.append(SignalTeacher(net, columns))
    return found


def _opened(teacher: Path, names: tuple[str, ...]) -> tuple[Network, dict, list[int]]:
    """Open a teacher; return with it what its checkpoint says, and which of its findings are those wanted."""
    net, meta = load_checkpoint(teacher)
    known = list(meta["label_names"])
    if lacking := [name for name in names if name not in known]:
        raise ValueError(f"train.teachers: {teacher} knows {', '.join(known)}, the store has {', '.join(names)}; "
                         f"{lacking[0]} is none of the teacher's findings")
    return net, meta, [known.index(name) for name in names]


def _answers(teacher: Path, store: RecordStore, rows: np.ndarray, kept: Path | None) -> np.ndarray:
    net, meta, columns = _opened(teacher, store.label_names)
    key = hashlib.sha256(f"{checkpoint_digest(teacher)} {store.digest}".encode() + np.ascontiguousarray(rows).tobytes())
    file = kept / f"teacher-{key.hexdigest()[:16]}.npy" if kept else None
    if file and file.exists():
        return np.load(file)
    source = PageSource(store, rows, np.zeros((len(rows), len(store.label_names)), np.float32),
                        from_dict(PageParams, meta["page"], "page"), 0.0, 0, drawn="page" in net.reads)
    renderers = source.renderers()
    chunks = np.array_split(np.arange(len(rows)), max(1, len(rows) // 64))
    answers = predict_batches(net, (source.draw(chunk, epoch=0, renderers=renderers)
                                    for chunk in track(chunks, label=f"train: teacher {teacher}")))[:, columns]
    if file:
        whole = io.BytesIO()
        np.save(whole, answers)
        write_whole(file, whole.getvalue())
    return answers
