"""The residual nets that turn a page or a signal into tokens (He et al. 2016; stem and skip after He et al. 2019)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two convolutions and a skip; the skip averages before its 1x1 convolution, so no sample is dropped.

    Works on one or two dimensions: `conv`, `norm` and `pool` are the matching torch classes.
    """

    def __init__(self, conv: type[nn.Module], norm: type[nn.Module], pool: type[nn.Module], *,
                 channels_in: int, channels: int, kernel: int, stride: int | tuple[int, int]):
        super().__init__()
        half = kernel // 2
        self.conv1 = conv(channels_in, channels, kernel, stride=stride, padding=half, bias=False)
        self.norm1 = norm(channels)
        self.conv2 = conv(channels, channels, kernel, padding=half, bias=False)
        self.norm2 = norm(channels)
        # A block that starts as the identity trains faster: the last norm's scale begins at zero.
        nn.init.zeros_(self.norm2.weight)
        self.skip = nn.Identity()
        steps = stride not in (1, (1, 1))
        if steps or channels_in != channels:
            shrink = pool(stride, ceil_mode=True) if steps else nn.Identity()
            self.skip = nn.Sequential(shrink, conv(channels_in, channels, 1, bias=False), norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x), inplace=True)


def _stages(kinds: tuple, widths: tuple[int, ...], depths: tuple[int, ...], *, kernel: int,
            strides: tuple) -> nn.Sequential:
    blocks, channels = [], widths[0]
    for width, depth, stride in zip(widths, depths, strides, strict=True):
        for position in range(depth):
            blocks.append(ResidualBlock(*kinds, channels_in=channels, channels=width, kernel=kernel,
                                        stride=stride if position == 0 else 1))
            channels = width
    return nn.Sequential(*blocks)


def _initialise(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


class PageBackbone(nn.Module):
    """A page (B, 1, H, W) to features (B, widths[-1], H/32, W/16).

    Across the page runs time, down the page voltage. A trace has one height at each moment, which channels
    can hold, so the net steps down twice as fast as across: at 1.5 px/mm a column of the first feature map
    spans 53 ms, and one of the last half a beat.
    """

    STRIDES = ((2, 1), (2, 2), (2, 2), (1, 2))
    COLUMN, ROW = 16, 32
    """Pixels across that a column of features spans, and down that a row does."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 7, stride=(4, 2), padding=3, bias=False),
                                  nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        self.stages = _stages((nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d), widths, depths, kernel=3,
                              strides=self.STRIDES)
        _initialise(self)

    def forward(self, image_b1hw: Tensor) -> Tensor:
        return self.stages(self.stem(image_b1hw))


class SignalBackbone(nn.Module):
    """Twelve leads (B, 12, T) to features (B, widths[-1], ceil(T / 32))."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...], kernel: int):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(12, widths[0], 15, stride=2, padding=7, bias=False),
                                  nn.BatchNorm1d(widths[0]), nn.ReLU(inplace=True))
        self.stages = _stages((nn.Conv1d, nn.BatchNorm1d, nn.AvgPool1d), widths, depths, kernel=kernel,
                              strides=(2, 2, 2, 2))
        _initialise(self)

    def forward(self, signal_bct: Tensor) -> Tensor:
        return self.stages(self.stem(signal_bct))


def sine_positions(length: int, dim: int, *, device: torch.device | None = None) -> Tensor:
    """Return sines and cosines of position, (length, dim) (Vaswani et al. 2017, section 3.5).

    Positions run over 0-1 times a fixed span, so that the same place on the page has the same code at
    every resolution.
    """
    position = torch.linspace(0, 64, length, device=device)[:, None]
    rate = torch.exp(torch.arange(0, dim, 2, device=device) * (-torch.log(torch.tensor(1000.0)).item() / dim))
    return torch.cat([torch.sin(position * rate), torch.cos(position * rate)], dim=1)[:, :dim]
