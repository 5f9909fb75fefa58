"""An exported program made faster: each batch norm becomes part of the convolution before it."""

import operator

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

CONVOLUTIONS = (torch.ops.aten.conv1d.default, torch.ops.aten.conv2d.default)
NORM = torch.ops.aten.batch_norm.default
TRAINING, EPS = 5, 7
"""Places of these among the arguments of `NORM`; its scale, shift, mean and variance come before."""


def fold(program: GraphModule) -> GraphModule:
    """Fold, in place, each batch norm into the convolution whose output it alone reads; others stay as they are.

    Args:
        program: of an exported network in inference mode, as `ExportedProgram.module()` returns it.

    Returns:
        The same program: its outputs differ by rounding alone.
    """
    for node in list(program.graph.nodes):
        if node.target is NORM and _can_be_folded(program, node):
            _fold(program, node)
    program.graph.eliminate_dead_code()
    program.delete_all_unused_submodules()
    program.recompile()
    return program


def _can_be_folded(program: GraphModule, norm: Node) -> bool:
    """Say whether a norm follows a convolution of a batch, and all that both multiply and add is stored as it is."""
    convolution = norm.args[0]
    if norm.args[TRAINING] or convolution.target not in CONVOLUTIONS or len(convolution.users) > 1:
        return False
    kernel, *bias = convolution.args[1:3]
    if not all(_stored(program, node) is not None for node in (kernel, *filter(None, bias), *norm.args[1:TRAINING])):
        return False
    # An image or signal without a batch is normalised over another dimension than the channels.
    seen = convolution.meta.get("val")
    return seen is not None and seen.ndim == _stored(program, kernel).ndim


def _fold(program: GraphModule, norm: Node) -> None:
    """Jacob et al. 2018, section 3.2: (conv(x) - mean) * scale / sqrt(variance + eps) + shift as one convolution."""
    convolution = norm.args[0]
    x, kernel, *rest = convolution.args
    scale, shift, mean, variance = (_stored(program, node) for node in norm.args[1:TRAINING])
    factor = scale / torch.sqrt(variance + norm.args[EPS])
    before = _stored(program, rest[0]) if rest and rest[0] is not None else 0
    kernel = _stored(program, kernel)
    with program.graph.inserting_before(convolution):
        kernel = _store(program, kernel * factor.reshape(-1, *(1,) * (kernel.ndim - 1)))
        bias = _store(program, shift + (before - mean) * factor)
    convolution.args = (x, kernel, bias, *rest[1:])
    norm.replace_all_uses_with(convolution)
    program.graph.erase_node(norm)


def _stored(program: GraphModule, node: Node | None) -> Tensor | None:
    """Return the tensor that a node fetches; None where it is none, or computed."""
    if node is None or node.op != "get_attr":
        return None
    value = operator.attrgetter(node.target)(program)
    return value.detach() if isinstance(value, Tensor) else None


def _store(program: GraphModule, value: Tensor) -> Node:
    """Give the program a tensor of its own; returns the node that fetches it, at the graph's insertion point."""
    number = 0
    while hasattr(program, name := f"folded_{number}"):
        number += 1
    program.register_buffer(name, value)
    return program.graph.get_attr(name)
