"""One training step as a module, so that whatever wraps a module (DDP, compile) wraps the whole step."""

from typing import NamedTuple

from torch import Tensor, nn

from model.losses import classification, distillation
from model.network import Predictions, VizECGNet, ink
from model.params import TrainParams


class Batch(NamedTuple):
    """What the loader yields: uint8 pages (B, H, W), float32 signals in mV (B, 12, T), 0/1 targets (B, C)."""

    pages: Tensor
    signals: Tensor
    targets: Tensor


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
        predictions = self.net(ink(batch.pages), signals)
        parts = {"loss_cls": classification(predictions, batch.targets),
                 "loss_kd": distillation(predictions, self.params.temperature)}
        loss = self.params.lambda_cls * parts["loss_cls"] + self.params.lambda_kd * parts["loss_kd"]
        return StepResult(loss, {name: value.detach() for name, value in parts.items()}, predictions)
