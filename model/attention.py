"""SMAM and CMAM: attention inside one modality and between two.

The paper (arXiv 2408.02888) names both modules and gives no equations; these are pre-norm transformer
blocks (Xiong et al. 2020), the plainest form that fits the description.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head scaled dot-product attention of `x` (B, N, D) over `context` (B, M, D)."""

    def __init__(self, dim: int, *, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x_bnd: Tensor, context_bmd: Tensor) -> Tensor:
        """Mix the values of `context_bmd` for each token of `x_bnd`; returns (B, N, D)."""
        query = self._split(self.query(x_bnd))
        key, value = (self._split(part) for part in self.key_value(context_bmd).chunk(2, dim=-1))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x_bnd: Tensor) -> Tensor:
        return x_bnd.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class _FeedForward(nn.Sequential):
    def __init__(self, dim: int, dropout: float):
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim),
                         nn.Dropout(dropout))


class SelfModalityAttention(nn.Module):
    """SMAM: the tokens of one modality look at each other. (B, N, D) to (B, N, D)."""

    def __init__(self, dim: int, *, heads: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads=heads)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = _FeedForward(dim, dropout)

    def forward(self, x_bnd: Tensor) -> Tensor:
        normed = self.norm(x_bnd)
        x_bnd = x_bnd + self.dropout(self.attention(normed, normed))
        return x_bnd + self.feed_forward(x_bnd)


class CrossModalAttention(nn.Module):
    """CMAM: the tokens of one modality look at those of the other. (B, N, D), (B, M, D) to (B, N, D)."""

    def __init__(self, dim: int, *, heads: int, dropout: float):
        super().__init__()
        self.norm, self.norm_context = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads=heads)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = _FeedForward(dim, dropout)

    def forward(self, x_bnd: Tensor, context_bmd: Tensor) -> Tensor:
        x_bnd = x_bnd + self.dropout(self.attention(self.norm(x_bnd), self.norm_context(context_bmd)))
        return x_bnd + self.feed_forward(x_bnd)
