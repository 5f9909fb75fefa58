"""A folded program answers as the network does, with less to compute for each page."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.export import Dim

from model.baselines import build
from model.export import export_reader
from model.folding import CONVOLUTIONS, NORM, fold
from model.network import PageReader
from model.params import PageParams
from model.typed import as_dict
from tests.model.tiny import TINY

PAGE = PageParams(height=64, width=128, px_per_mm=0.5)


def trained(net):
    """Give norms what only training would: statistics, scales and shifts that matter."""
    torch.manual_seed(1)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (part.weight, part.running_var):
                nn.init.uniform_(tensor, 0.5, 2.0)
            for tensor in (part.bias, part.running_mean):
                nn.init.normal_(tensor, std=0.3)
    return net.eval()


def targets(program):
    return [node.target for node in program.graph.nodes]


def exported(net, *shape):
    with torch.no_grad():
        return torch.export.export(net, (torch.zeros(2, *shape),), dynamic_shapes=({0: Dim("batch", min=1)},)).module()


@pytest.mark.parametrize("architecture", ["vizecgnet", "resnet2d", "efficientnet2d", "convnext2d"])
def test_a_folded_reader_answers_as_the_network_with_fewer_steps(architecture):
    torch.manual_seed(0)
    net = trained(build(replace(TINY, architecture=architecture, lead_positions=architecture == "vizecgnet"),
                        classes=3, page=PAGE))
    program = export_reader(net, {"page": as_dict(PAGE)}).module()
    before, norms = len(program.graph.nodes), targets(program).count(NORM)
    pages = torch.randint(0, 256, (3, PAGE.height, PAGE.width), dtype=torch.uint8)
    with torch.inference_mode():
        expected = PageReader(net)(pages)
        folded = fold(program)
        for _ in range(2):
            torch.testing.assert_close(folded(pages), expected, atol=1e-5, rtol=0)
    assert len(program.graph.nodes) < before or not norms
    assert not targets(program).count(NORM)


@pytest.mark.parametrize("biased", [True, False])
def test_convolutions_of_signals_and_with_a_bias_of_their_own(biased):
    net = trained(nn.Sequential(nn.Conv1d(2, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=biased),
                                nn.BatchNorm1d(6), nn.ReLU()))
    program, x = exported(net, 2, 40), torch.randn(3, 2, 40)
    with torch.inference_mode():
        torch.testing.assert_close(fold(program)(x), net(x), atol=1e-6, rtol=1e-5)
    assert not targets(program).count(NORM) and targets(program).count(CONVOLUTIONS[0]) == 1


class Shared(nn.Module):
    """Uses a convolution's output twice, once without the norm, and a norm with no convolution before it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.first = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(1)

    def forward(self, x):
        y = self.conv(self.first(x))
        return self.norm(y) + y


def test_a_norm_that_cannot_be_folded_stays():
    net = trained(Shared())
    program, x = exported(net, 1, 8, 8), torch.randn(3, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(fold(program)(x), net(x), atol=1e-6, rtol=1e-5)
    assert targets(program).count(NORM) == 2


class Adding(nn.Module):
    """Writes each page into what would be a constant, beside another that may be folded."""

    def forward(self, x):
        return (torch.ones(3).cos() * 2).add_(x.mean()) + x + torch.arange(3).sin()


def test_what_is_written_into_is_no_constant():
    program, x = exported(Adding(), 3), torch.randn(2, 3)
    with torch.inference_mode():
        expected = Adding()(x)
        folded = fold(program)
        for _ in range(3):
            torch.testing.assert_close(folded(x), expected)
    assert torch.ops.aten.add_.Tensor in targets(program), "the case that this is about"
    assert torch.ops.aten.sin.default not in targets(program), "the other is one"
