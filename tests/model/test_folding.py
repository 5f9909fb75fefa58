"""A folded program answers as the network does, its norms and constants gone; what cannot be folded stays as it is."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

from model.baselines import build
from model.export import export_reader
from model.folding import NORM, fold
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
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.normal_(part.running_mean, std=0.3)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 2.0)
                nn.init.normal_(part.bias, std=0.3)
    return net.eval()


def count(program):
    return [node.target for node in program.graph.nodes].count(NORM)


def exported(net, x, **dynamic):
    with torch.no_grad():
        return torch.export.export(net, (x,), **dynamic).module()


@pytest.mark.parametrize(("architecture", "norms"), [("vizecgnet", True), ("resnet2d", True), ("efficientnet2d", True),
                                                     ("convnext2d", False)])
def test_a_folded_reader_answers_as_the_network_and_has_no_norm_left(architecture, norms):
    torch.manual_seed(0)
    net = trained(build(replace(TINY, architecture=architecture), classes=3, page=PAGE))
    program = export_reader(net, {"page": as_dict(PAGE)}).module()
    assert bool(count(program)) is norms
    weights = sum(tensor.numel() for tensor in program.parameters())
    pages = torch.randint(0, 256, (3, PAGE.height, PAGE.width), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(fold(program)(pages), PageReader(net)(pages), atol=1e-5, rtol=0)
    assert not count(program)
    kept = sum(tensor.numel() for tensor in (*program.parameters(), *program.buffers()))
    assert kept < 1.1 * weights, "replaced weights take no memory, and positions little"


class Without(nn.Module):
    """A norm without scale, shift and stored statistics of a module."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False)

    def forward(self, x):
        return self.norm(self.conv(x))


class Shared(nn.Module):
    """A convolution's output that is used twice, and a norm with no convolution before it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.first = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(1)

    def forward(self, x):
        y = self.conv(self.first(x))
        return self.norm(y) + y


class Computed(nn.Module):
    """A kernel that is not stored as it is, but follows from what is."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 3)), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x))


class Given(nn.Module):
    """A kernel that depends on the page."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(F.conv2d(x, self.conv.weight * x.mean()))


class Blocks(nn.Module):
    """A convolution and its norm, with a block that torch keeps as a program of its own."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = F.relu(x)
        return self.norm(self.conv(y.float()))


@pytest.mark.parametrize(("net", "left"), [(Without, 1), (Shared, 2), (Computed, 0), (Given, 1), (Blocks, 0)])
def test_a_norm_is_folded_where_that_can_be_told_to_be_right_and_else_stays(net, left):
    net = trained(net())
    x = torch.randn(3, 1, 8, 8)
    program = exported(net, x)
    assert count(program) >= 1
    with torch.inference_mode():
        torch.testing.assert_close(fold(program)(x), net(x), atol=1e-6, rtol=1e-5)
    assert count(program) == left


@pytest.mark.parametrize("biased", [True, False])
def test_convolutions_of_signals_and_with_a_bias_of_their_own(biased):
    net = trained(nn.Sequential(nn.Conv1d(2, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=biased),
                                nn.BatchNorm1d(6), nn.ReLU()))
    program = exported(net, torch.zeros(2, 2, 40), dynamic_shapes=({0: Dim("batch", min=1)},))
    x = torch.randn(3, 2, 40)
    with torch.inference_mode():
        torch.testing.assert_close(fold(program)(x), net(x), atol=1e-6, rtol=1e-5)
    assert not count(program)


def test_a_signal_without_a_batch_is_left_alone():
    net = trained(nn.Sequential(nn.Conv1d(2, 6, 3, padding=1), nn.BatchNorm1d(6)))
    x = torch.randn(2, 6)  # its norm is over the six samples, not over the six channels
    program = exported(net, x)
    with torch.inference_mode():
        torch.testing.assert_close(fold(program)(x), net(x), atol=1e-6, rtol=1e-5)


def test_a_name_that_is_taken_is_not_taken_again():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
            self.register_buffer("folded_0", torch.randn(1))

        def forward(self, x):
            return self.norm(self.conv(x)) + self.folded_0

    net, x = trained(Named()), torch.randn(3, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(fold(exported(net, x))(x), net(x), atol=1e-6, rtol=1e-5)


def test_what_depends_on_no_page_is_computed_once():
    torch.manual_seed(0)
    net = trained(build(TINY, classes=3, page=PAGE))
    program = export_reader(net, {"page": as_dict(PAGE)}).module()
    made = {torch.ops.aten.sin.default, torch.ops.aten.cos.default, torch.ops.aten.linspace.default}
    assert made <= {node.target for node in program.graph.nodes}, "positions on the page"
    assert not made & {node.target for node in fold(program).graph.nodes}


class Drawn(nn.Module):
    """A number that is drawn at each call."""

    def forward(self, x):
        return x + torch.rand(1)


class Counting(nn.Module):
    """A buffer that counts the calls."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        return x + self.calls.add_(1)


class Written(nn.Module):
    """A constant that is written into, by a view of it, after it was made anew."""

    def forward(self, x):
        made = torch.ones(2, 1) * 2
        made[0].add_(1)
        return x + made


@pytest.mark.parametrize("net", [Drawn, Counting, Written])
def test_what_is_not_the_same_at_each_call_is_not_computed_once(net):
    x = torch.zeros(2, 1)
    program, net = fold(exported(net(), x)), net()
    torch.manual_seed(0)
    # Copies: what is answered may be what the next call changes.
    answers = [program(x).clone() for _ in range(3)]
    torch.manual_seed(0)
    torch.testing.assert_close(answers, [net(x).clone() for _ in range(3)])
