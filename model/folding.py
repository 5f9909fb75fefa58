"""An exported program made faster: each batch norm becomes part of a convolution, and constants are computed once."""

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
    """Fold, in place, each batch norm into the convolution whose output it alone reads, and what depends on no input.

    Norms that follow no such convolution stay as they are; so does what draws numbers or changes its arguments.

    Args:
        program: of an exported network in inference mode, as `ExportedProgram.module()` returns it.

    Returns:
        The same program: its outputs differ by rounding alone.
    """
    _compute_constants(program)
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


def _compute_constants(program: GraphModule) -> None:
    """Store what depends on no input, such as the positions on the page, instead of computing it for every batch."""
    known: dict[Node, Tensor] = {}
    for node in program.graph.nodes:
        value = _stored(program, node) if node.op == "get_attr" else _constant(node, known)
        if value is not None:
            known[node] = value
    # What is changed in place, itself or by a view of it, has to be made anew for each batch.
    if any(_changes(node) and any(given in known for given in node.all_input_nodes) for node in program.graph.nodes):
        return
    for node, value in known.items():
        if node.op != "get_attr" and any(user not in known for user in node.users):
            with program.graph.inserting_before(node):
                node.replace_all_uses_with(_store(program, value.clone()))


def _changes(node: Node) -> bool:
    """Say whether an operation writes into its arguments; `detach_` writes no value."""
    return (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable
            and node.target is not torch.ops.aten.detach_.default)


def _constant(node: Node, known: dict[Node, Tensor]) -> Tensor | None:
    """Return the tensor that an operation makes of known ones; None where it is none, or not the same at each call."""
    operation = node.target
    if (not isinstance(operation, torch._ops.OpOverload) or not all(given in known for given in node.all_input_nodes)
            or operation._schema.is_mutable or torch.Tag.nondeterministic_seeded in operation.tags):
        return None
    value = operation(*map_arg(node.args, known.get), **map_arg(node.kwargs, known.get))
    return value if isinstance(value, Tensor) else None


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
