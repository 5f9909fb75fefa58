"""What the training step does to a page before the network sees it, and that a teacher stays as it is."""

import dataclasses

import torch

from model.baselines import build
from model.params import PageParams, TrainParams
from model.task import PATCH, Batch, DistillationTask, masked
from model.teaching import SignalTeacher
from tests.model.tiny import TINY


def test_whole_patches_are_blanked_and_others_left_alone():
    torch.manual_seed(0)
    image = torch.rand(64, 1, 64, 128) + 0.5
    got = masked(image, 0.4)
    kept = torch.nn.functional.avg_pool2d((got == image).float(), PATCH)
    assert set(kept.unique().tolist()) == {0.0, 1.0} and abs(kept.mean().item() - 0.6) < 0.03
    assert torch.equal(got == 0, got != image)
    assert len({tuple(page.flatten().tolist()) for page in kept}) > 60


def test_a_teacher_that_is_asked_is_no_part_of_its_pupil_and_does_not_change():
    page = PageParams(height=96, width=192, px_per_mm=0.75)
    alone = dataclasses.replace(TINY, signal_stream=False, cmam=False)
    signal = dataclasses.replace(TINY, architecture="resnet1d_wang", signal_crop=250)
    teacher = SignalTeacher(build(signal, classes=4, page=page), [2, 0, 1])
    task = DistillationTask(build(alone, classes=3, page=page), TrainParams(), [teacher]).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    batch = Batch(torch.randint(0, 255, (4, 96, 192), dtype=torch.uint8), torch.randn(4, 12, 1000),
                  torch.randint(0, 2, (4, 3)).float())
    result = task(batch)
    result.loss.backward()
    assert result.parts["loss_kd"] > 0 and not any(name.startswith("asked") for name in task.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(part.grad is None for part in teacher.parameters()) and not teacher.net.training
    teacher.train()
    assert not teacher.net.training
