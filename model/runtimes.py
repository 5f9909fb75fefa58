"""The packaged program as ONNX, which onnxruntime runs in four fifths of the time that PyTorch takes for one page."""

import logging
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ecg.files import write_whole

OPSET = 18
INPUT = "pages"


def write_onnx(program: Path, path: Path) -> None:
    """Write a package's program as ONNX: uint8 pages (B, H, W), any B, to float32 probabilities (B, C).

    Raises:
        ValueError: `program` is no exported program.
    """
    try:
        exported = torch.export.load(program)
    except Exception as error:
        raise ValueError(f"{program}: not an exported program ({type(error).__name__}); package again") from None
    # Torch warns of torchvision's operations, which no reader has, and of its own names that will change.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        made = torch.onnx.export(exported, dynamo=True, input_names=[INPUT], output_names=["probabilities"],
                                 opset_version=OPSET, verbose=False)
    write_whole(path, made.model_proto.SerializeToString())


class OnnxReader:
    """A reader, as `model.export.Reader` says, that onnxruntime runs on the processor.

    Raises:
        ValueError: the file is missing or no ONNX.
    """

    def __init__(self, path: Path, *, threads: int = 1):
        import onnxruntime

        if not path.is_file():
            raise ValueError(f"{path}: no such file; make it with 'vizecg export --onnx {path}'")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # Its types of error have only Exception in common.
            raise ValueError(f"{path}: not a program that onnxruntime runs ({type(error).__name__}); make it anew with "
                             f"'vizecg export --onnx {path}'") from None

    def __call__(self, pages_bhw: Tensor) -> Tensor:
        return torch.from_numpy(self.session.run(None, {INPUT: pages_bhw.numpy()})[0])


class PackagedReader:
    """A package's reader, as `model.export.Reader` says: probabilities by onnxruntime, explanations by PyTorch.

    Args:
        load: loads the program, which takes seconds; called when it is first used.
        onnx: the same as ONNX, which does not; None: packaged before there was any, and the program gives all.

    Raises:
        ValueError: a file that is loaded is damaged.
    """

    def __init__(self, load: Callable[[], nn.Module], onnx: Path | None):
        self._load = load
        self._read = OnnxReader(onnx, threads=torch.get_num_threads()) if onnx else self.program

    @cached_property
    def program(self) -> nn.Module:
        """The program, which can be differentiated."""
        return self._load()

    def __call__(self, pages_bhw: Tensor) -> Tensor:
        return self._read(pages_bhw)
