"""The processes of one training: who they are, and what they must agree on."""

import os
import platform
import re
import socket
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

PREEMPTED = 75
"""Exit status of a training that was asked to stop: EX_TEMPFAIL of sysexits.h, try again."""
RESTARTS = 3
"""How often the processes of a node begin again after one of another node was lost."""
PATIENCE = timedelta(hours=1)
"""For which processes wait for each other: the first asks the fixed teachers alone."""


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def device(self) -> torch.device:
        """The accelerator that is this process's own, or the CPU."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    @property
    def hardware(self) -> str:
        """What this process computes on, in words: the GPU's name, or the cores and the processor's."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{os.cpu_count()} cores of {_processor()}"

    @property
    def leads(self) -> bool:
        """Whether this process writes files and runs; one does."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of `count` things that all know are this process's part, nearly as many for each."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def from_leader(self, thing: Any) -> Any:
        """Return what the first process has."""
        if self.size == 1:
            return thing
        things = [thing]
        dist.broadcast_object_list(things)
        return things[0]

    def gather(self, thing: Any) -> list:
        """Return each process's thing, in order of rank."""
        if self.size == 1:
            return [thing]
        things: list = [None] * self.size
        dist.all_gather_object(things, thing)
        return things


def _processor() -> str:
    try:
        named = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1] if named else platform.processor() or platform.machine()


@dataclass(frozen=True)
class Meeting:
    """Where the nodes of one training find each other."""

    address: str
    """Of the first node, HOST:PORT."""
    node: int
    nodes: int
    run: str
    """The same on each node; part of a folder's name."""

    @staticmethod
    def announced(environment: Mapping[str, str], run: str) -> "Meeting":
        """Return the meeting of which torchrun's own variables tell, as Kubeflow's Trainer sets them in its pods.

        Raises:
            ValueError: one of them is missing.
        """
        try:
            host, port, node, nodes = (environment[f"PET_{name}"] for name in (
                "MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "NNODES"))
        except KeyError as error:
            raise ValueError(f"{error.args[0]}: not set; a node of a TrainJob has it, or set it by hand") from None
        return Meeting(f"{host}:{port}", int(node), int(nodes), run)

    def own_address(self) -> str:
        """Return the address under which the others reach this node: that from which it reaches the first."""
        host, _, port = self.address.rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((host, int(port)))  # Sends nothing: the way alone is looked up.
            return s.getsockname()[0]


def among_others() -> bool:
    """Whether torchrun, or `launch`, started this process."""
    return "RANK" in os.environ


def launch(work: Callable, processes: int, arguments: dict, *, meeting: Meeting | None = None) -> Any:
    """Call `work(**arguments)` in processes that train together; returns what the first returns.

    Args:
        work: what each process does.
        processes: how many on this machine.
        arguments: of `work`.
        meeting: of several nodes, on each of which this is called; None: this machine alone. Where a node is lost the
            others start their processes anew and wait for it, `RESTARTS` times; so `work` must resume.

    Returns:
        what the first process returned; None on a node that has not the first.

    Raises:
        SystemExit: of status 75 when SIGTERM ended it, of 1 when a process failed; its reason is on the terminal.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    place = {"min_nodes": 1, "max_nodes": 1, "run_id": uuid.uuid4().hex, "rdzv_endpoint": "127.0.0.1:0",
             "max_restarts": 0}
    if meeting:
        place = {"min_nodes": meeting.nodes, "max_nodes": meeting.nodes, "run_id": meeting.run,
                 "rdzv_endpoint": meeting.address, "rdzv_configs": {"is_host": meeting.node == 0},
                 "local_addr": meeting.own_address(), "max_restarts": RESTARTS}
        # A node that stays says the leading process's address in its first round alone, and one that comes back would
        # wait for it in vain; without the shared store it is said in each (torch's dynamic_rendezvous.py).
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    config = LaunchConfig(**place, nproc_per_node=processes, rdzv_backend="c10d", start_method="spawn")
    try:
        return elastic_launch(config, _called)(work, arguments).get(0)
    except SignalException:
        raise SystemExit(PREEMPTED) from None
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
        raise SystemExit(status if status in (2, PREEMPTED) else 1) from None


def _called(work: Callable, arguments: dict) -> Any:
    """Runs in each process; a user's mistake is said once, as the command line says it."""
    try:
        return work(**arguments)
    except ValueError as error:
        if os.environ["RANK"] == "0":
            print(f"vizecg: error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def join() -> World:
    """Join the processes that torchrun started; alone where none did. NCCL on GPUs, Gloo elsewhere."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    world = World(int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        if world.device.type == "cuda":
            torch.cuda.set_device(world.device)
        dist.init_process_group("nccl" if world.device.type == "cuda" else "gloo", timeout=PATIENCE)
    return world


class _Total(torch.autograd.Function):
    """The sum over the processes; each gets the sum of the gradients."""

    @staticmethod
    def forward(context, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SyncedNorm(_BatchNorm):
    """Batch normalisation over all processes' samples, so that more processes are no smaller batches.

    PyTorch's own (`nn.SyncBatchNorm`) does not run on CPUs. Mean and variance of the whole batch (Ioffe and
    Szegedy 2015) by two sums over the processes, whose gradients are summed alike.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        assert x.ndim >= 2

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        # In full precision, as torch's own under autocast: sums of half precision lose what they add up.
        given, x = x.dtype, x.float()
        over = [0, *range(2, x.ndim)]
        shape = (1, -1, *[1] * (x.ndim - 2))
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _Total.apply(x.sum(over)) / count
        centred = x - mean.view(shape)
        variance = _Total.apply(centred.square().sum(over)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(given)


def synced(net: nn.Module, world: World) -> nn.Module:
    """Return the network with every batch normalisation over all processes; the same parameters and names."""
    if world.size == 1:
        return net
    if world.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)
    for name, part in net.named_children():
        if isinstance(part, _BatchNorm):
            norm = SyncedNorm(part.num_features, eps=part.eps, momentum=part.momentum)
            norm.load_state_dict(part.state_dict())
            setattr(net, name, norm)
        else:
            synced(part, world)
    return net
