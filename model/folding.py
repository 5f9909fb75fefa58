"""An exported program made faster for one page at a time: what is the same for every page is computed once."""

import operator

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

CONVOLUTIONS = (torch.ops.aten.conv1d.default, torch.ops.aten.conv2d.default)
NORM = torch.ops.aten.batch_norm.default
TRAINING, EPS = 5, 7
"""Places of these among the arguments of `NORM`; its scale, shift, mean and variance come before."""


def fold(program: GraphModule) -> GraphModule:
    """Fold, in place, each batch norm into the convolution before it, and what depends on no input into a constant.

    Args:
        program: of an exported network in inference mode, as `ExportedProgram.module()` returns it.

    Returns:
        The same program: its outputs differ by rounding alone.
    """
    for node in list(program.graph.nodes):
        if node.target is NORM and _follows_convolution(node):
            _fold_norm(program, node)
    _fold_constants(program)
    program.graph.eliminate_dead_code()
    program.recompile()
    return program


def _follows_convolution(norm: Node) -> bool:
    before = norm.args[0]
    return not norm.args[TRAINING] and before.target in CONVOLUTIONS and len(before.users) == 1


def _fold_norm(program: GraphModule, norm: Node) -> None:
    """Jacob et al. 2018, section 3.2: (conv(x) - mean) * scale / sqrt(variance + eps) + shift as one convolution."""
    convolution = norm.args[0]
    x, kernel, *rest = convolution.args
    scale, shift, mean, variance = (_value(program, node) for node in norm.args[1:5])
    factor = scale / torch.sqrt(variance + norm.args[EPS])
    kernel = _value(program, kernel)
    bias = shift - mean * factor
    if rest and rest[0] is not None:
        bias = bias + _value(program, rest[0]) * factor
    with program.graph.inserting_before(convolution):
        kernel = _constant(program, kernel * factor.reshape(-1, *(1,) * (kernel.ndim - 1)))
        convolution.args = (x, kernel, _constant(program, bias), *rest[1:])
    norm.replace_all_uses_with(convolution)
    program.graph.erase_node(norm)


def _fold_constants(program: GraphModule) -> None:
    known = {}
    for node in program.graph.nodes:
        if node.op == "get_attr":
            known[node] = _value(program, node)
        elif node.op == "call_function" and node.users and all(given in known for given in node.all_input_nodes):
            arguments = map_arg((node.args, dict(node.kwargs)), known.get)
            known[node] = node.target(*arguments[0], **arguments[1])
    for node, value in known.items():
        used = [user for user in node.users if user not in known]
        if node.op == "call_function" and isinstance(value, Tensor) and used and not any(map(_may_change, used)):
            with program.graph.inserting_before(node):
                node.replace_all_uses_with(_constant(program, value))


def _may_change(user: Node) -> bool:
    """Say whether a node may write into what it is given, so that the next page would find another constant."""
    schema = getattr(user.target, "_schema", None)
    return schema is None or schema.is_mutable


def _value(program: GraphModule, node: Node) -> Tensor:
    return operator.attrgetter(node.target)(program).detach()


def _constant(program: GraphModule, value: Tensor) -> Node:
    """Insert a tensor of the program's own at the graph's insertion point."""
    name = f"folded_{sum(1 for name, _ in program.named_buffers(recurse=False) if name.startswith('folded_'))}"
    program.register_buffer(name, value.detach().clone())
    return program.graph.get_attr(name)
