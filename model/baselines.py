"""The models that VizECGNet is compared with, from their papers' equations, at sizes that train here.

Signal models take (B, 12, T) in millivolt, page models take (B, 1, H, W) with ink 1 on paper 0; all give logits (B, C).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.attention import SelfModalityAttention
from model.backbones import sine_positions
from model.network import Predictions, VizECGNet
from model.params import ModelParams, PageParams
from model.state_space import StateSpaceStack

Kinds = tuple[type[nn.Module], type[nn.Module], type[nn.Module]]
ONE: Kinds = (nn.Conv1d, nn.BatchNorm1d, nn.AvgPool1d)
TWO: Kinds = (nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d)


class PooledHead(nn.Module):
    """Features (B, D, ...) to logits: mean and maximum over all places, then one linear layer (concat pooling)."""

    def __init__(self, channels: int, classes: int, dropout: float = 0.2):
        super().__init__()
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(2 * channels, classes)

    def forward(self, features: Tensor) -> Tensor:
        flat = features.flatten(2)
        return self.linear(self.dropout(torch.cat([flat.mean(dim=2), flat.amax(dim=2)], dim=1)))


def _convolve(kinds: Kinds, channels_in: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1,
              act: type[nn.Module] | None = nn.ReLU) -> nn.Sequential:
    conv, norm, _ = kinds
    parts = [conv(channels_in, channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
             norm(channels)]
    return nn.Sequential(*parts, *([act()] if act else []))


class Basic(nn.Module):
    """Two convolutions and a skip (He et al. 2016, figure 2)."""

    EXPANSION = 1

    def __init__(self, kinds: Kinds, channels_in: int, width: int, *, kernels: tuple[int, int], stride: int):
        super().__init__()
        self.body = nn.Sequential(_convolve(kinds, channels_in, width, kernels[0], stride=stride),
                                  _convolve(kinds, width, width, kernels[1], act=None))
        self.skip = _skip(kinds, channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


class Bottleneck(nn.Module):
    """1, k, 1 convolutions, the outer ones four times as wide, and a skip (He et al. 2016, figure 5)."""

    EXPANSION = 4

    def __init__(self, kinds: Kinds, channels_in: int, width: int, *, kernels: tuple[int, int], stride: int):
        super().__init__()
        self.body = nn.Sequential(_convolve(kinds, channels_in, width, 1),
                                  _convolve(kinds, width, width, kernels[0], stride=stride),
                                  _convolve(kinds, width, 4 * width, 1, act=None))
        nn.init.zeros_(self.body[-1][1].weight)
        self.skip = _skip(kinds, channels_in, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


def _skip(kinds: Kinds, channels_in: int, channels: int, stride: int) -> nn.Module:
    if stride == 1 and channels_in == channels:
        return nn.Identity()
    shrink = kinds[2](stride, ceil_mode=True) if stride > 1 else nn.Identity()
    return nn.Sequential(shrink, _convolve(kinds, channels_in, channels, 1, act=None))


def _residual(kinds: Kinds, block: type[Basic] | type[Bottleneck], *, stem: nn.Module, channels: int,
              depths: tuple[int, ...], widths: tuple[int, ...], kernels: tuple[int, int], classes: int) -> nn.Module:
    blocks = []
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for position in range(depth):
            blocks.append(block(kinds, channels, width, kernels=kernels,
                                stride=2 if stage > 0 and position == 0 else 1))
            channels = width * block.EXPANSION
    return nn.Sequential(stem, *blocks, PooledHead(channels, classes))


def resnet1d_wang(classes: int) -> nn.Module:
    """The residual net of Wang et al. 2017 as Strodthoff et al. 2021 ran it on PTB-XL: three blocks of 128 channels."""
    return _residual(ONE, Basic, stem=_convolve(ONE, 12, 128, 7, stride=2), channels=128, depths=(1, 1, 1),
                     widths=(128, 128, 128), kernels=(5, 3), classes=classes)


def xresnet1d101(classes: int) -> nn.Module:
    """XResNet-101 (He et al. 2019, "bag of tricks") in one dimension, kernels of 5, as Strodthoff et al. 2021."""
    stem = nn.Sequential(_convolve(ONE, 12, 32, 5, stride=2), _convolve(ONE, 32, 32, 5), _convolve(ONE, 32, 64, 5),
                         nn.MaxPool1d(3, stride=2, padding=1))
    return _residual(ONE, Bottleneck, stem=stem, channels=64, depths=(3, 4, 23, 3), widths=(64, 64, 64, 64),
                     kernels=(5, 5), classes=classes)


class Inception(nn.Module):
    """A bottleneck, three wide kernels beside a pooled branch (Fawaz et al. 2020, figure 2)."""

    def __init__(self, channels_in: int, width: int, kernels: tuple[int, ...]):
        super().__init__()
        self.squeeze = nn.Conv1d(channels_in, width, 1, bias=False)
        self.branches = nn.ModuleList(nn.Conv1d(width, width, k, padding=k // 2, bias=False) for k in kernels)
        self.pooled = nn.Sequential(nn.MaxPool1d(3, stride=1, padding=1), nn.Conv1d(channels_in, width, 1, bias=False))
        self.norm = nn.BatchNorm1d((len(kernels) + 1) * width)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.squeeze(x)
        return F.relu(self.norm(torch.cat([*(branch(narrow) for branch in self.branches), self.pooled(x)], dim=1)))


class InceptionTime(nn.Module):
    """InceptionTime (Fawaz et al. 2020): six modules, a skip over every three."""

    def __init__(self, classes: int, *, width: int = 32, kernels: tuple[int, ...] = (39, 19, 9)):
        super().__init__()
        out = (len(kernels) + 1) * width
        self.first = nn.Sequential(*(Inception(12 if k == 0 else out, width, kernels) for k in range(3)))
        self.second = nn.Sequential(*(Inception(out, width, kernels) for _ in range(3)))
        self.skip = _convolve(ONE, 12, out, 1, act=None)
        self.head = PooledHead(out, classes)

    def forward(self, x: Tensor) -> Tensor:
        # Half the rate after the stem's place: the paper's length-preserving net would take twice the time.
        x = F.avg_pool1d(x, 2)
        half = F.relu(self.first(x) + self.skip(x))
        return self.head(F.relu(self.second(half) + half))


class SignalTransformer(nn.Module):
    """A small vision transformer (Dosovitskiy et al. 2021) over patches of 0.2 s of all twelve leads."""

    def __init__(self, classes: int, *, patch: int = 20, dim: int = 192, depth: int = 6, heads: int = 6):
        super().__init__()
        self.embed = nn.Conv1d(12, dim, patch, stride=patch)
        self.blocks = nn.Sequential(*(SelfModalityAttention(dim, heads=heads, dropout=0.1) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim), PooledHead(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).transpose(1, 2)
        tokens = tokens + sine_positions(tokens.shape[1], tokens.shape[2], device=x.device)
        return self.head(self.norm(self.blocks(tokens)).transpose(1, 2))


def s4d(classes: int) -> nn.Module:
    """Four bidirectional S4D layers, 128 wide (model/state_space.py); Mehari & Strodthoff 2023: S4, 512."""
    return nn.Sequential(StateSpaceStack(channels=128, depth=4, state=8, dropout=0.2), PooledHead(128, classes))


def resnet2d(classes: int) -> nn.Module:
    """ResNet-18's shape (He et al. 2016), 32 channels wide."""
    stem = nn.Sequential(_convolve(TWO, 1, 32, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1))
    return _residual(TWO, Basic, stem=stem, channels=32, depths=(2, 2, 2, 2), widths=(32, 64, 128, 256),
                     kernels=(3, 3), classes=classes)


class Inverted(nn.Module):
    """Widen, a convolution a channel, squeeze and excite, narrow (Tan & Le 2019, after Sandler et al. 2018)."""

    def __init__(self, channels_in: int, channels: int, *, widen: int, stride: int):
        super().__init__()
        inner = widen * channels_in
        self.widen = _convolve(TWO, channels_in, inner, 1, act=nn.SiLU)
        self.deep = _convolve(TWO, inner, inner, 3, stride=stride, groups=inner, act=nn.SiLU)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inner, max(4, channels_in // 4), 1), nn.SiLU(),
                                  nn.Conv2d(max(4, channels_in // 4), inner, 1), nn.Sigmoid())
        self.narrow = _convolve(TWO, inner, channels, 1, act=None)
        self.same = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.deep(self.widen(x))
        y = self.narrow(y * self.gate(y))
        return x + y if self.same else y


def efficientnet2d(classes: int) -> nn.Module:
    """An EfficientNet-like net (Tan & Le 2019): B0's stages, fewer blocks."""
    blocks: list[nn.Module] = [_convolve(TWO, 1, 24, 3, stride=2, act=nn.SiLU)]
    channels = 24
    for width, depth, stride in ((24, 1, 2), (40, 2, 2), (80, 2, 2), (128, 2, 2)):
        for position in range(depth):
            blocks.append(Inverted(channels, width, widen=4, stride=stride if position == 0 else 1))
            channels = width
    return nn.Sequential(*blocks, _convolve(TWO, channels, 384, 1, act=nn.SiLU), PooledHead(384, classes))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of a map (B, D, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class ConvNeXtBlock(nn.Module):
    """A 7x7 convolution a channel, then two linear layers (Liu et al. 2022, figure 4)."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels, 7, padding=3, groups=channels), ChannelNorm(channels),
                                  nn.Conv2d(channels, 4 * channels, 1), nn.GELU(), nn.Conv2d(4 * channels, channels, 1))
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 1e-2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.body(x)


def convnext2d(classes: int) -> nn.Module:
    """A ConvNeXt-like net (Liu et al. 2022), 40 to 240 channels."""
    widths, depths = (40, 80, 160, 240), (2, 2, 4, 2)
    blocks: list[nn.Module] = [nn.Conv2d(1, widths[0], 4, stride=4), ChannelNorm(widths[0])]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            blocks += [ChannelNorm(widths[stage - 1]), nn.Conv2d(widths[stage - 1], width, 2, stride=2)]
        blocks += [ConvNeXtBlock(width) for _ in range(depth)]
    return nn.Sequential(*blocks, ChannelNorm(widths[-1]), PooledHead(widths[-1], classes))


SIGNAL_MODELS: dict[str, Callable[[int], nn.Module]] = {
    "resnet1d_wang": resnet1d_wang, "xresnet1d101": xresnet1d101, "inceptiontime": InceptionTime,
    "vit1d": SignalTransformer, "s4d": s4d}
PAGE_MODELS: dict[str, Callable[[int], nn.Module]] = {
    "resnet2d": resnet2d, "efficientnet2d": efficientnet2d, "convnext2d": convnext2d}
FUSION = {"late_fusion": ("resnet2d", "resnet1d_wang")}
"""A page model and a signal model whose logits are averaged; it needs both at inference."""
BASELINES = (*SIGNAL_MODELS, *PAGE_MODELS, *FUSION)


class Cropped(nn.Module):
    """A signal model that trains on random stretches and reads a record as the mean over windows half apart.

    Strodthoff et al. 2021 (section II-D) train on 2.5 s of PTB-XL's 10: every epoch shows other stretches, at a
    quarter of the cost.
    """

    def __init__(self, model: nn.Module, samples: int):
        super().__init__()
        self.model, self.samples = model, samples

    def forward(self, signal_bct: Tensor) -> Tensor:
        count, _, length = signal_bct.shape
        if length <= self.samples:
            return self.model(signal_bct)
        if self.training:
            starts = torch.randint(length - self.samples + 1, (count,))
            return self.model(torch.stack([x[:, s:s + self.samples] for x, s in zip(signal_bct, starts, strict=True)]))
        windows = signal_bct.unfold(2, self.samples, step := max(1, self.samples // 2)).transpose(1, 2)
        if (length - self.samples) % step:
            # The last window reaches the record's end, where it would not by whole steps.
            windows = torch.cat([windows, signal_bct[:, None, :, -self.samples:]], dim=1)
        return self.model(windows.flatten(0, 1)).unflatten(0, (count, -1)).mean(dim=1)


class Baseline(nn.Module):
    """A baseline in VizECGNet's place: the same call, the same loop, one prediction.

    Args:
        name: one of `BASELINES`.
        classes: number of findings C.
        signal_crop: samples of the stretches that a signal model trains on; 0: whole records.

    Raises:
        ValueError: no such model.
    """

    def __init__(self, name: str, *, classes: int, signal_crop: int = 0):
        super().__init__()
        if name not in BASELINES:
            raise ValueError(f"model.architecture: unknown {name!r}; known are {', '.join(BASELINES)}")
        page, signal = FUSION.get(name, (name, name))
        self.page = PAGE_MODELS[page](classes) if page in PAGE_MODELS else None
        self.signal = SIGNAL_MODELS[signal](classes) if signal in SIGNAL_MODELS else None
        if signal_crop and self.signal is not None:
            self.signal = Cropped(self.signal, signal_crop)

    @property
    def reads(self) -> tuple[str, ...]:
        """What it needs at inference: `page`, `signal` or both."""
        return tuple(name for name in ("page", "signal") if getattr(self, name) is not None)

    def forward(self, image_b1hw: Tensor, signal_bct: Tensor | None = None) -> Predictions:
        """Predict from what the model reads; see `VizECGNet.forward`."""
        logits = [model(x) for model, x in ((self.page, image_b1hw), (self.signal, signal_bct)) if model is not None]
        return Predictions(torch.stack(logits).mean(dim=0))

    def page_path(self) -> nn.Module:
        """What turns a page alone into logits.

        Raises:
            ValueError: the model reads signals.
        """
        if self.reads != ("page",):
            raise ValueError(f"model.architecture: it reads {' and '.join(self.reads)}; only page readers are packaged")
        return self.page

    @torch.no_grad()
    def start_from_prevalence(self, prevalence: Tensor) -> None:
        """Set the heads' bias to the log-odds of each finding, (C,)."""
        odds = torch.logit(prevalence.clamp(0.001, 0.999))
        for module in self.modules():
            if isinstance(module, PooledHead):
                module.linear.bias.copy_(odds)


Network = VizECGNet | Baseline


def build(params: ModelParams, *, classes: int, page: PageParams | None = None) -> Network:
    """Return the network that `model.architecture` names, for pages of this kind."""
    return VizECGNet(params, classes=classes, page=page) if params.architecture == "vizecgnet" else Baseline(
        params.architecture, classes=classes, signal_crop=params.signal_crop)
