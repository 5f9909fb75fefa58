"""A network small enough for tests."""

from model.params import ModelParams

TINY = ModelParams(image_widths=(8, 8, 16, 16), image_depths=(1, 1, 1, 1), signal_widths=(8, 8, 16, 16),
                   signal_depths=(1, 1, 1, 1), token_dim=16, heads=2)
