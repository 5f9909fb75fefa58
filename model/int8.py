"""The packaged program as ONNX of 8-bit integers, and what they cost."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg.files import write_whole
from ecg.pages import PageSet
from model.export import Reader
from model.inference import predict_pages
from model.metrics import auroc
from model.runtimes import INPUT


def write_int8(onnx: Path, path: Path, pages: np.ndarray, *, batch_size: int = 8) -> None:
    """Write an ONNX program with weights and activations of 8 bits, their ranges taken from pages.

    Args:
        onnx: what `write_onnx` wrote.
        path: the file to write.
        pages: uint8 (N, H, W), of the validation split: the test pages are for measuring.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pages(CalibrationDataReader):
        left = iter(range(0, len(pages), batch_size))

        def get_next(self) -> dict | None:
            start = next(self.left, None)
            return None if start is None else {INPUT: np.array(pages[start:start + batch_size])}

    with tempfile.TemporaryDirectory(prefix="vizecg-int8-") as scratch:
        ready, made = Path(scratch, "ready.onnx"), Path(scratch, "int8.onnx")
        quant_pre_process(str(onnx), str(ready), skip_symbolic_shape=True)
        # Convolutions and products alone: the few other operations cost little, and softmax suffers from 8 bits.
        quantize_static(str(ready), str(made), Pages(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        op_types_to_quantize=["Conv", "Gemm", "MatMul"])
        write_whole(path, made.read_bytes())


@dataclass(frozen=True)
class Loss:
    """Macro AUROC on the test pages of all captures: the program's, another runtime's, and the largest difference of
    a probability."""

    reference: float
    other: float
    largest: float


def measure_loss(reference: Reader, other: Reader, pages: PageSet, *, batch_size: int = 64, limit: int = 0) -> Loss:
    """Measure what a runtime costs on the evaluation pages.

    Args:
        reference: the packaged program.
        other: the other runtime's reader.
        pages: the pages folder.
        batch_size: pages at once.
        limit: of test pages a capture; 0: all.

    Raises:
        ValueError: no test page, or no finding that some have and others have not.
    """
    rows = np.flatnonzero((pages.index["split"] == "test").to_numpy())[:limit or None]
    truth = pages.index[[f"label:{name}" for name in pages.label_names]].to_numpy(bool)[rows]
    figures, largest = [], 0.0
    for capture in pages.captures if len(rows) else ():
        both = [predict_pages(reader, pages.array(capture)[rows], batch_size=batch_size)
                for reader in (reference, other)]
        largest = max(largest, float(np.abs(both[0] - both[1]).max()))
        figures += [[auroc(truth[:, c], scores[:, c]) for scores in both] for c in range(truth.shape[1])
                    if 0 < truth[:, c].sum() < len(rows)]
    if not figures:
        raise ValueError(f"{pages.path}: no finding that some of its test pages have and others have not")
    return Loss(*np.mean(figures, axis=0).tolist(), largest)
