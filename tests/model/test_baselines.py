"""Baselines: the same call as the network, the shapes of their papers, and gradients everywhere."""

import pytest
import torch

from model.baselines import BASELINES, FUSION, SIGNAL_MODELS, Baseline, Cropped, build
from model.network import PageReader, VizECGNet
from model.params import ModelParams, TrainParams
from model.task import Batch, DistillationTask
from tests.model.tiny import TINY

PARAMETERS = {"resnet1d_wang": (0.4e6, 0.5e6), "xresnet1d101": (1.5e6, 4.5e6), "inceptiontime": (0.4e6, 0.5e6)}
"""About what their authors' code has for twelve leads."""


def batch(samples=1000):
    rng = torch.Generator().manual_seed(0)
    return Batch((torch.rand(4, 64, 128, generator=rng) * 255).to(torch.uint8),
                 torch.randn(4, 12, samples, generator=rng), (torch.rand(4, 3, generator=rng) > 0.5).float())


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_learns_from_the_step_that_trains_the_network(name):
    torch.manual_seed(0)
    net = Baseline(name, classes=3)
    result = DistillationTask(net, TrainParams())(batch())
    assert result.predictions.image.shape == (4, 3) and result.predictions.signal is None
    assert result.parts["loss_kd"] == 0
    result.loss.backward()
    silent = [key for key, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent


@pytest.mark.parametrize(("name", "bounds"), PARAMETERS.items())
def test_sizes_are_those_of_the_papers(name, bounds):
    assert bounds[0] < sum(p.numel() for p in Baseline(name, classes=5).parameters()) < bounds[1]


@pytest.mark.parametrize("name", BASELINES)
def test_a_model_depends_on_what_it_reads_alone(name):
    net = Baseline(name, classes=3).eval()
    pages, signals, *_ = batch()
    pages = pages.float()[:, None] / 255
    with torch.no_grad():
        base = net(pages, signals).image
        for kind, changed in (("page", net(1 - pages, signals)), ("signal", net(pages, -signals))):
            assert torch.equal(base, changed.image) == (kind not in net.reads)
    assert net.reads == (("page", "signal") if name in FUSION else ("signal",) if name in SIGNAL_MODELS else ("page",))


@pytest.mark.parametrize("samples", [500, 1000, 2500])
@pytest.mark.parametrize("name", SIGNAL_MODELS)
def test_signal_models_take_any_length(name, samples):
    net = Baseline(name, classes=2).eval()
    assert net(torch.zeros(1, 1, 32, 32), torch.zeros(1, 12, samples)).image.shape == (1, 2)


@pytest.mark.parametrize("length", [600, 700, 1000])
def test_windows_reach_from_the_first_sample_to_the_last(length):
    class Ends(torch.nn.Module):
        def forward(self, signal_bct):
            return signal_bct.amax(dim=(1, 2))[:, None]

    read = Cropped(Ends(), 300).eval()
    for sample in (0, length // 2, length - 1):
        signal = torch.zeros(1, 12, length)
        signal[..., sample] = 1.0
        assert read(signal).item() > 0, sample
    signal = torch.rand(2, 12, length)
    assert torch.equal(read(signal)[1:], read(signal[1:])), "each record has its own windows"


def test_training_starts_at_the_prevalence():
    net = Baseline("resnet1d_wang", classes=2)
    net.start_from_prevalence(torch.tensor([0.1, 0.5]))
    assert torch.allclose(torch.sigmoid(net.signal[-1].linear.bias), torch.tensor([0.1, 0.5]), atol=1e-6)


def test_page_baselines_are_readers_and_signal_models_are_not():
    reader = PageReader(Baseline("efficientnet2d", classes=3))
    assert reader(torch.zeros(2, 64, 128, dtype=torch.uint8)).shape == (2, 3)
    with pytest.raises(ValueError, match="only page readers are packaged"):
        PageReader(Baseline("late_fusion", classes=3))


def test_the_architecture_of_the_parameters_is_built():
    assert isinstance(build(TINY, classes=2), VizECGNet)
    assert build(ModelParams(architecture="vit1d"), classes=2).reads == ("signal",)
    with pytest.raises(ValueError, match="unknown 'lstm'; known are resnet1d_wang"):
        Baseline("lstm", classes=2)
