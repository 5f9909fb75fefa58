"""State space layers: the convolution against the recurrence that it stands for."""

import pytest
import torch

from model.loop import _decay_groups
from model.state_space import DiagonalStateSpace, StateSpaceBlock


def recurrence(system, x_bht, output):
    """What the system's states say step by step: h' = exp(dt A) h + (exp(dt A) - 1) / A x, y = 2 Re C h'."""
    modes = torch.complex(-system.log_decay.exp(), system.frequency)
    kept = torch.exp(modes * system.log_step.exp()[:, None])
    state, said = torch.zeros(len(x_bht), *modes.shape, dtype=modes.dtype), []
    for now in x_bht.unbind(-1):
        state = kept * state + (kept - 1) / modes * now[..., None]
        said.append(2 * (torch.view_as_complex(output.contiguous()) * state).sum(-1).real)
    return torch.stack(said, dim=-1)


@pytest.mark.parametrize("length", [1, 2, 37, 250])
@torch.no_grad()
def test_convolution_is_the_recurrence_in_both_directions(length):
    torch.manual_seed(length)
    system, x = DiagonalStateSpace(3, 4), torch.randn(2, 3, length)
    found = system.to(memory_format=torch.channels_last)(x)  # as training keeps parameters
    before = recurrence(system, x, system.output[0])
    after = recurrence(system, x.flip(-1), system.output[1]).flip(-1)
    # A sample belongs to what came before; what comes after it begins one later.
    after = torch.cat([after[..., 1:], torch.zeros(2, 3, 1)], dim=-1)
    assert torch.allclose(found, before + after + system.through[:, None] * x, atol=1e-5)


@torch.no_grad()
def test_a_layer_sees_all_of_a_signal_and_half_precision_does_not_stop_it():
    torch.manual_seed(0)
    block, x = StateSpaceBlock(8, state=4, dropout=0.2).eval(), torch.randn(1, 8, 64)
    for changed in (0, 63):
        other = x.clone()
        other[..., changed] += 1
        assert (block(x) != block(other)).any(dim=1).all(), "an end of the signal does not reach the other"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(block(x).float(), block(x), atol=0.1) and block.system(x).dtype == torch.float32


def test_time_scales_do_not_decay():
    system = DiagonalStateSpace(3, 4)
    decayed, plain = _decay_groups(StateSpaceBlock(3, state=4, dropout=0), 0.05)
    assert [p.shape for p in decayed["params"]] == [(6, 3, 1)]
    assert len(plain["params"]) == len(list(system.parameters())) + 3
