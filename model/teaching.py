"""Fixed teachers that are asked about every batch, since a blend of two records has no answer of its own kept."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SignalTeacher(nn.Module):
    """A model of signals with fixed weights: signals in mV (B, 12, T) to probabilities (B, C).

    Args:
        net: a network that reads signals alone.
        columns: which of its findings are the pupil's, C of them in the pupil's order.
    """

    def __init__(self, net: nn.Module, columns: Sequence[int]):
        super().__init__()
        self.net, self.columns = net.eval().requires_grad_(False), list(columns)

    def train(self, mode: bool = True) -> "SignalTeacher":
        """Stay as it is: a teacher neither drops features nor adapts its norms."""
        return super().train(False)

    def forward(self, signals_bct: Tensor) -> Tensor:
        no_page = signals_bct.new_zeros(len(signals_bct), 1, 1, 1)
        return torch.sigmoid(self.net(no_page, signals_bct).image.float())[:, self.columns]


def answers(teachers: Sequence[SignalTeacher], signals_bct: Tensor) -> Tensor:
    """Return the teachers' mean probability (B, C) for a batch of signals, in full precision and without a gradient."""
    with torch.no_grad(), torch.autocast(signals_bct.device.type, enabled=False):
        return torch.stack([teacher(signals_bct) for teacher in teachers]).mean(dim=0)
