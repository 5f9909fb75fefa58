"""One training step as a module, so that whatever wraps a module (DDP, compile) wraps the whole step."""

from typing import NamedTuple

from torch import Tensor, nn

from model.losses import alignment, classification, digitisation, distillation
from model.network import Predictions, VizECGNet, ink
from model.params import TrainParams


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
    """The network with its loss: batch in, `StepResult` out."""

    def __init__(self, net: VizECGNet, params: TrainParams):
        super().__init__()
        self.net, self.params = net, params

    def forward(self, batch: Batch) -> StepResult:
        """Predict with every stream that is on, and weigh the losses."""
        signals = batch.signals if self.net.signal is not None else None
        predictions, p = self.net(ink(batch.pages), signals), self.params
        parts = {"loss_cls": classification(predictions, batch.targets, kind=p.loss),
                 "loss_kd": distillation(predictions, p.temperature, taught=batch.soft, mutual=p.kd_mutual)}
        loss = p.lambda_cls * parts["loss_cls"] + p.lambda_kd * parts["loss_kd"]
        if p.lambda_align:
            parts["loss_align"] = alignment(predictions)
            loss = loss + p.lambda_align * parts["loss_align"]
        if p.lambda_trace:
            parts["loss_trace"] = digitisation(predictions.traces, batch.traces)
            loss = loss + p.lambda_trace * parts["loss_trace"]
        return StepResult(loss, {name: value.detach() for name, value in parts.items()}, predictions)
