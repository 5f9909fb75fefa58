"""S4D: a structured state space model with a diagonal state (Gu et al. 2022, "On the parameterization and
initialization of diagonal state space models"), in both directions, for signals."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS = (0.001, 0.1)
"""Bounds between which the channels' step sizes begin, in samples of time scale 1 (their section 4)."""


class DiagonalStateSpace(nn.Module):
    """Each channel through its own linear system, (B, H, T) to (B, H, T), forwards and backwards in time.

    Args:
        channels: H.
        state: complex modes N of a channel; each stands for itself and its conjugate.
    """

    def __init__(self, channels: int, state: int):
        super().__init__()
        low, high = map(math.log, STEPS)
        self.log_step = nn.Parameter(low + (high - low) * torch.rand(channels))
        # S4D-Lin (their equation 8): A_n = -1/2 + i pi n. In logarithms the real part stays below 0: it is stable.
        self.log_decay = nn.Parameter(torch.full((channels, state), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(state).repeat(channels, 1).float())
        self.output = nn.Parameter(torch.randn(2, channels, state, 2) * math.sqrt(0.5))
        self.through = nn.Parameter(torch.randn(channels))
        for one in (self.log_decay, self.frequency, self.output):
            one.decays = False  # time scales: towards 0 is not towards a simpler system

    def kernels(self, length: int) -> Tensor:
        """Return both directions' responses to an impulse, (2, H, T): their equation 9, zero-order hold.

        K(l) = 2 Re sum_n C_n (exp(dt A_n) - 1) / A_n exp(l dt A_n), with B = 1.
        """
        modes = torch.complex(-self.log_decay.exp(), self.frequency)
        stepped = modes * self.log_step.exp()[:, None]
        # Not as a view: training keeps what has four dimensions with its channels last.
        weights = torch.complex(*self.output.unbind(-1)) * torch.expm1(stepped) / modes
        powers = torch.exp(stepped[..., None] * torch.arange(length, device=modes.device))
        return 2 * torch.einsum("dhn,hnt->dht", weights, powers).real

    def forward(self, x_bht: Tensor) -> Tensor:
        length = x_bht.shape[-1]
        # In float32 whatever autocast says: FFTs of half precision do not exist on processors.
        with torch.autocast(x_bht.device.type, enabled=False):
            x = x_bht.float()
            past, coming = self.kernels(length)
            # The second kernel answers to later samples: turned round, it ends where the first one begins.
            both = F.pad(past, (0, length)) + F.pad(coming.flip(-1), (length, 0))
            spectrum = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(both, n=2 * length)
            return torch.fft.irfft(spectrum, n=2 * length)[..., :length] + self.through[:, None] * x


class StateSpaceBlock(nn.Module):
    """A state space layer, GELU, a gated linear layer that mixes channels, and a skip; the norm comes last."""

    def __init__(self, channels: int, *, state: int, dropout: float):
        super().__init__()
        self.system, self.mix = DiagonalStateSpace(channels, state), nn.Conv1d(channels, 2 * channels, 1)
        self.dropout, self.norm = nn.Dropout1d(dropout), nn.LayerNorm(channels)

    def forward(self, x_bht: Tensor) -> Tensor:
        mixed = F.glu(self.mix(self.dropout(F.gelu(self.system(x_bht)))), dim=1)
        return self.norm((x_bht + self.dropout(mixed)).transpose(1, 2)).transpose(1, 2)


class StateSpaceStack(nn.Sequential):
    """Twelve leads embedded, then blocks, (B, 12, T) to (B, H, T): as Mehari & Strodthoff 2023 read ECGs."""

    def __init__(self, *, channels: int, depth: int, state: int, dropout: float):
        blocks = (StateSpaceBlock(channels, state=state, dropout=dropout) for _ in range(depth))
        super().__init__(nn.Conv1d(12, channels, 1), *blocks)
