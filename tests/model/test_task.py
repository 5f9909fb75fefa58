"""What the training step does to a page before the network sees it."""

import torch

from model.task import PATCH, masked


def test_whole_patches_are_blanked_and_others_left_alone():
    torch.manual_seed(0)
    image = torch.rand(64, 1, 64, 128) + 0.5
    got = masked(image, 0.4)
    kept = torch.nn.functional.avg_pool2d((got == image).float(), PATCH)
    assert set(kept.unique().tolist()) == {0.0, 1.0} and abs(kept.mean().item() - 0.6) < 0.03
    assert torch.equal(got == 0, got != image)
    assert len({tuple(page.flatten().tolist()) for page in kept}) > 60
