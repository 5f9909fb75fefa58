"""One training step as a module, so that whatever wraps a module (DDP, compile) wraps the whole step."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.losses import alignment, attention_transfer, classification, digitisation, distillation
from model.network import Predictions, VizECGNet, ink
from model.params import TrainParams
from model.teaching import SignalTeacher, answers

PATCH = 16
"""Pixels of a side of what `train.mask` blanks."""


class Batch(NamedTuple):
    """What the loader yields: uint8 pages (B, H, W), float32 signals in mV (B, 12, T), 0/1 targets (B, C)."""

    pages: Tensor
    signals: Tensor
    targets: Tensor
    soft: Tensor | None = None
    """What fixed teachers say: probabilities (B, C)."""
    traces: Tensor | None = None
    """What each lead's trace shows in each column of the page: mV (B, 12, W), NaN where it is not printed."""


class StepResult(NamedTuple):
    """The loss to minimise, its parts, and the logits."""

    loss: Tensor
    parts: dict[str, Tensor]
    predictions: Predictions


class DistillationTask(nn.Module):
    """The network with its loss: batch in, `StepResult` out.

    Args:
        net: the network.
        params: the weights of the losses.
        teachers: fixed models that are asked about each batch's signals, in place of what the batch says of them.
    """

    def __init__(self, net: VizECGNet, params: TrainParams, teachers: Sequence[SignalTeacher] = ()):
        super().__init__()
        self.net, self.params = net, params
        self.asked = list(teachers)  # a plain list: they are not trained, and no state keeps them

    def forward(self, batch: Batch) -> StepResult:
        """Predict with every stream that is on, and weigh the losses."""
        signals, p = batch.signals if self.net.signal is not None else None, self.params
        image = ink(batch.pages)
        predictions = self.net(masked(image, p.mask) if p.mask else image, signals)
        soft = answers(self.asked, batch.signals) if self.asked else batch.soft
        parts = {"loss_cls": classification(predictions, batch.targets, kind=p.loss),
                 "loss_kd": distillation(predictions, p.temperature, taught=soft, mutual=p.kd_mutual)}
        loss = p.lambda_cls * parts["loss_cls"] + p.lambda_kd * parts["loss_kd"]
        for name, weight, part in (("align", p.lambda_align, lambda: alignment(predictions)),
                                   ("attention", p.lambda_attention, lambda: attention_transfer(predictions)),
                                   ("trace", p.lambda_trace, lambda: digitisation(predictions.traces, batch.traces))):
            if weight:
                parts[f"loss_{name}"] = part()
                loss = loss + weight * parts[f"loss_{name}"]
        return StepResult(loss, {name: value.detach() for name, value in parts.items()}, predictions)


def masked(image_b1hw: Tensor, share: float) -> Tensor:
    """Blank a share of a page's patches, squares of `PATCH` pixels drawn anew for each page."""
    count, _, height, width = image_b1hw.shape
    kept = torch.rand(count, 1, height // PATCH, width // PATCH, device=image_b1hw.device) >= share
    return image_b1hw * F.interpolate(kept.to(image_b1hw.dtype), (height, width))
