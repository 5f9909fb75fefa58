"""VizECGNet: two streams in training, the image stream alone at inference (arXiv 2408.02888).

    image  -> 2-D backbone -> tokens -> SMAM -> h_i ---------> head_i -> z_i
    signal -> 1-D backbone -> tokens -> SMAM -> h_s ---------> head_s -> z_s
              CMAM(h_i <- h_s), CMAM(h_s <- h_i) -----> head_i, head_s -> z_i|s, z_s|i

With `model.smam_place` at the third stage SMAM sits within the backbones, before their last stage.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecg.leads import LEADS
from model.attention import CrossModalAttention, SelfModalityAttention
from model.backbones import PageBackbone, SignalBackbone, sine_positions
from model.lead_map import lead_map
from model.params import ModelParams, PageParams

VIEWS = ((0, 0), (2, 0), (-2, 0), (0, 2), (0, -2))
"""Pixels to the right and down by which the copies of a page are shifted; the net's first layer steps 2 and 4."""


class Predictions(NamedTuple):
    """Logits, each (B, C), or None where the stream or the module is off."""

    image: Tensor
    signal: Tensor | None = None
    image_given_signal: Tensor | None = None
    signal_given_image: Tensor | None = None
    traces: Tensor | None = None
    """The digitising head's mV, (B, 12, W)."""
    features: tuple[Tensor, Tensor] | None = None
    """Means over the tokens of the image and of the signal stream, each (B, D)."""
    attention: tuple[Tensor, Tensor] | None = None
    """What their tokens make of each moment, the mean square over depth and rows: (B, W) and (B, T)."""

    def logits(self) -> list[Tensor]:
        """Return the predictions that there are."""
        return [z for z in self[:4] if z is not None]


class Tokens(NamedTuple):
    """Tokens (B, N, D) and the shape of the feature map they come from: (T,), or (H, W) with N = H * W."""

    values: Tensor
    shape: tuple[int, ...]

    def over_time(self) -> Tensor:
        """Return the mean square of the features at each moment, (B, W) or (B, T) (Zagoruyko & Komodakis 2017)."""
        return self.values.square().mean(dim=-1).unflatten(1, (-1, self.shape[-1])).mean(dim=1)


class LeadPositions(nn.Module):
    """Codes (H * W, D) of which lead and which second each cell of a feature map of the page shows.

    One learned vector a lead, and one times the second; they begin at zero.
    """

    def __init__(self, page: PageParams, dim: int):
        super().__init__()
        shape = page.height // PageBackbone.ROW, page.width // PageBackbone.COLUMN
        self.register_buffer("map", torch.from_numpy(lead_map(page, shape)), persistent=False)
        self.code = nn.Linear(len(self.map), dim, bias=False)
        nn.init.zeros_(self.code.weight)

    def forward(self, shape: tuple[int, int]) -> Tensor:
        return self.code(F.adaptive_avg_pool2d(self.map, shape).flatten(1).T)


class Stream(nn.Module):
    """Backbone, projection to tokens with positions, and SMAM.

    With `model.smam_place` at the third stage SMAM looks at that stage's features, before the last stage.
    """

    def __init__(self, backbone: nn.Module, widths: tuple[int, ...], depths: tuple[int, ...], params: ModelParams,
                 page: PageParams | None = None):
        super().__init__()
        self.leads = LeadPositions(page, params.token_dim) if page else None
        self.backbone = backbone
        self.project = nn.Linear(widths[-1], params.token_dim)
        early = params.smam_place == "third_stage"
        self.last = depths[-1] if early else 0
        self.smam = nn.Sequential(*(
            SelfModalityAttention(widths[2] if early else params.token_dim, heads=params.heads, dropout=params.dropout)
            for _ in range(params.attention_depth if params.smam else 0)))

    def forward(self, x: Tensor) -> Tokens:
        """Turn pages (B, 1, H, W) or signals (B, 12, T) into tokens."""
        return self.attend(self.look(x))

    def look(self, x: Tensor) -> Tokens:
        """Turn pages or signals into tokens that have not looked at each other yet."""
        features = self.backbone.stem(x)
        stages = self.backbone.stages
        if self.last:
            features = stages[:-self.last](features)
            shape = tuple(features.shape[2:])
            tokens = features.flatten(2).transpose(1, 2)
            tokens = self.smam(tokens + _positions(shape, tokens.shape[-1], tokens.device).to(tokens.dtype))
            features = tokens.transpose(1, 2).unflatten(2, shape)
            stages = stages[-self.last:]
        features = stages(features)
        shape = tuple(features.shape[2:])
        tokens = self.project(features.flatten(2).transpose(1, 2))
        positions = _positions(shape, tokens.shape[-1], tokens.device)
        if self.leads is not None:
            positions = positions + self.leads(shape)
        return Tokens(tokens + positions.to(tokens.dtype), shape)

    def attend(self, tokens: Tokens) -> Tokens:
        """Let the tokens look at each other, if they do so after the last stage."""
        return tokens if self.last else Tokens(self.smam(tokens.values), tokens.shape)


class Head(nn.Module):
    """Tokens to logits (B, C): means and the maximum over the tokens, then one linear layer.

    A mean carries what a part of the page says (rhythm, axis, one lead's ST segment), the maximum what
    stands anywhere (an ectopic beat). With a `grid` of (1, 1) the mean is the whole page's; a finer one
    tells the leads apart from the first step on, which few records need, and ties the head to the layout.
    """

    def __init__(self, dim: int, classes: int, dropout: float, grid: tuple[int, ...]):
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear((math.prod(grid) + 1) * dim, classes)
        nn.init.normal_(self.linear.weight, std=0.01)

    def forward(self, tokens: Tokens) -> Tensor:
        normed = self.norm(tokens.values)
        if math.prod(self.grid) == 1:
            means = normed.mean(dim=1)
        else:
            means = F.adaptive_avg_pool2d(normed.transpose(1, 2).unflatten(2, tokens.shape), self.grid).flatten(1)
        return self.linear(self.dropout(torch.cat([means, normed.amax(dim=1)], dim=1)))


class Digitiser(nn.Module):
    """Page tokens to what the traces show, mV (B, 12, W): training's exact supervision, which the renderer gives free.

    Each column of tokens tells the samples of all leads over its pixels, so the tokens must know which lead
    lies where and how high it stands, in every layout. Nothing of it is shipped.
    """

    ROWS = 6

    def __init__(self, dim: int, pixels: int):
        super().__init__()
        self.pixels = pixels
        self.read = nn.Sequential(nn.LayerNorm(self.ROWS * dim), nn.Linear(self.ROWS * dim, 2 * dim), nn.GELU(),
                                  nn.Linear(2 * dim, len(LEADS) * pixels))

    def forward(self, tokens: Tokens) -> Tensor:
        grid = tokens.values.transpose(1, 2).unflatten(2, tokens.shape)
        columns = F.adaptive_avg_pool2d(grid, (self.ROWS, tokens.shape[1])).permute(0, 3, 1, 2).flatten(2)
        return self.read(columns).unflatten(2, (len(LEADS), self.pixels)).transpose(1, 2).flatten(2)


class VizECGNet(nn.Module):
    """The dual-stream network.

    Args:
        params: sizes and switches.
        classes: number of findings C.
        page: the canonical page, whose layout `model.lead_positions` tells.

    Raises:
        ValueError: `model.lead_positions` without a page.
    """

    reads = ("page",)
    """What it needs at inference."""

    def __init__(self, params: ModelParams, *, classes: int, page: PageParams | None = None):
        super().__init__()
        if params.lead_positions and page is None:
            raise ValueError("model.lead_positions: the network must be told the page")
        self.params, self.classes = params, classes
        dim = params.token_dim
        self.image = Stream(PageBackbone(params.image_widths, params.image_depths), params.image_widths,
                            params.image_depths, params, page if params.lead_positions else None)
        self.head_image = Head(dim, classes, params.dropout, params.pool_grid)
        self.digitiser = Digitiser(dim, PageBackbone.COLUMN) if params.digitiser else None
        self.signal = self.cmam_image = self.cmam_signal = None
        if params.signal_stream:
            backbone = SignalBackbone(params.signal_widths, params.signal_depths, params.signal_kernel)
            self.signal = Stream(backbone, params.signal_widths, params.signal_depths, params)
            self.head_signal = Head(dim, classes, params.dropout, (1,))
        if params.cmam:
            self.cmam_image = CrossModalAttention(dim, heads=params.heads, dropout=params.dropout)
            self.cmam_signal = CrossModalAttention(dim, heads=params.heads, dropout=params.dropout)

    def forward(self, image_b1hw: Tensor, signal_bct: Tensor | None = None) -> Predictions:
        """Predict from the page, and in training from the signal and both together.

        Args:
            image_b1hw: float, (B, 1, H, W), ink 1 on paper 0; H and W multiples of 32.
            signal_bct: float, (B, 12, T), millivolt; None at inference.
        """
        seen_image = self.image.look(image_b1hw)
        h_image = self.image.attend(seen_image)
        z_image = self.head_image(h_image)
        traces = self.digitiser(h_image) if self.digitiser is not None and self.training else None
        if signal_bct is None or self.signal is None:
            return Predictions(z_image, traces=traces)
        seen_signal = self.signal.look(signal_bct)
        h_signal = self.signal.attend(seen_signal)
        z_signal = self.head_signal(h_signal)
        compared = dict(traces=traces, features=(h_image.values.mean(dim=1), h_signal.values.mean(dim=1)),
                        attention=(h_image.over_time(), h_signal.over_time()))
        if self.cmam_image is None:
            return Predictions(z_image, z_signal, **compared)
        if self.params.cmam_place == "before_smam":
            informed = self._exchanged(seen_image, seen_signal)
            informed = self.image.attend(informed[0]), self.signal.attend(informed[1])
        else:
            informed = self._exchanged(h_image, h_signal)
        return Predictions(z_image, z_signal, self.head_image(informed[0]), self.head_signal(informed[1]), **compared)

    def _exchanged(self, image: Tokens, signal: Tokens) -> tuple[Tokens, Tokens]:
        """CMAM: each stream's tokens after they looked at the other's."""
        return (Tokens(self.cmam_image(image.values, signal.values), image.shape),
                Tokens(self.cmam_signal(signal.values, image.values), signal.shape))

    def page_path(self) -> nn.Module:
        """What turns a page alone, (B, 1, H, W), into logits (B, C)."""
        path = nn.Sequential(self.image, self.head_image)
        return Views(path, self.params.views) if self.params.views > 1 else path

    @torch.no_grad()
    def start_from_prevalence(self, prevalence: Tensor) -> None:
        """Set the heads' bias to the log-odds of each finding, (C,), so that training starts at the base rate."""
        odds = torch.logit(prevalence.clamp(0.001, 0.999))
        for head in (self.head_image, getattr(self, "head_signal", None)):
            if head is not None:
                head.linear.bias.copy_(odds)


class Views(nn.Module):
    """Reads some shifted copies of a page (B, 1, H, W) and takes the mean of their logits (B, C)."""

    def __init__(self, path: nn.Module, count: int):
        super().__init__()
        self.path, self.count = path, count

    def forward(self, image_b1hw: Tensor) -> Tensor:
        return torch.stack([self.path(F.pad(image_b1hw, (right, -right, down, -down)))
                            for right, down in VIEWS[:self.count]]).mean(dim=0)


class PageReader(nn.Module):
    """What is shipped: canonical pages, uint8 (B, H, W), to probabilities, float32 (B, C)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.path = net.page_path()
        self.eval()

    def forward(self, pages_bhw: Tensor) -> Tensor:
        return torch.sigmoid(self.path(ink(pages_bhw)))


def ink(pages_bhw: Tensor) -> Tensor:
    """Turn grey pages, uint8 (B, H, W), into the network's input, float (B, 1, H, W): ink 1, paper 0.

    Squared, so that a grid or dark paper, of a third of the ink's darkness, fades to a tenth of it.
    """
    return (1.0 - pages_bhw.to(torch.float32) / 255.0).square()[:, None]


def _positions(shape: tuple[int, ...], dim: int, device: torch.device) -> Tensor:
    """Return position codes of a feature map flattened: (T, dim), or (H * W, dim) with half the code for each axis."""
    if len(shape) == 1:
        return sine_positions(shape[0], dim, device=device)
    rows = sine_positions(shape[0], dim // 2, device=device)[:, None].expand(-1, shape[1], -1)
    columns = sine_positions(shape[1], dim - dim // 2, device=device)[None].expand(shape[0], -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)
