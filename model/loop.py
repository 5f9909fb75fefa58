"""The training loop, the same for one process and for many: autocast, warm-up and cosine, averaged weights, resume.

A batch is `train.batch_size` records at any number of processes; each takes its part of every batch, so that losses
and the schedule do not depend on how many there are.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.baselines import Network
from model.clock import PHASES, Clock, Profile, gpu_memory
from model.data import PageSource, ahead, drawing_processes, page_scale
from model.distributed import PREEMPTED, World, synced
from model.inference import predict_batches
from model.metrics import auroc
from model.params import TrainParams
from model.states import States
from model.task import Batch, DistillationTask, StepResult
from model.teaching import SignalTeacher


class Preempted(SystemExit):
    """The training was asked to stop; its state is written. Ends the process with `PREEMPTED`, and can be resumed."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the weights to ship and one dict an epoch."""

    net: Network
    history: list[dict]


class Trainer:
    """Trains one network on one source and watches it on another.

    Args:
        net: the network; it is trained in place.
        train: the training records.
        validate: the records on which the image stream is watched; they may end the training early (`patience`) and
            choose nothing else. None: nothing is watched, as where no label takes part.
        params: the optimisation.
        seed: of weights' dropout and of the data.
        states: where the whole state is kept; None keeps none. The newest is resumed from.
        signature: what the run depends on; a state with another signature is refused.
        world: the processes that train together.
        say: takes a line that the user should see.
        trace: file for what the profiler sees of `train.profile` steps; None, or no such steps: it is off.
        teachers: fixed models that are asked about each batch's signals.

    Raises:
        ValueError: the batch cannot be shared out among the processes; a state is of another run.
    """

    def __init__(self, net: Network, *, train: PageSource, validate: PageSource | None, params: TrainParams,
                 seed: int, states: States | None, signature: str, world: World = World(),  # noqa: B008 (frozen)
                 say: Callable[[str], None] = print, trace: Path | None = None,
                 teachers: Sequence[SignalTeacher] = ()):
        self.params, self.train, self.validate, self.world, self.say = params, train, validate, world, say
        self.states, self.signature = states, signature
        torch.manual_seed(seed + 1_000_003 * world.rank)
        if params.deterministic:
            torch.use_deterministic_algorithms(True)
        self.device = world.device
        asked = [teacher.to(self.device) for teacher in teachers]
        self.task = DistillationTask(synced(net, world), params, asked).to(self.device,
                                                                           memory_format=torch.channels_last)
        self.wrapped = self._wrapped()
        self.dtype = autocast_dtype(params.precision, self.device)
        self.batch_size = _shared(min(params.batch_size, train.epoch_length), params, world)
        self.steps_per_epoch = train.epoch_length // self.batch_size
        self.optimizer = torch.optim.AdamW(_decay_groups(net, params.weight_decay), lr=params.learning_rate,
                                           betas=(0.9, 0.98), fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(params.ema)) if params.ema else None
        self.history: list[dict] = []
        self.step, self.sums = 0, {}
        self.drawers: ProcessPoolExecutor | None = None
        # A signal comes at any moment, and each process must stop after the same step: what one was asked becomes what
        # all do where they agree on it, once a step.
        self.asked = self.stopping = False
        self.saved_at = time.monotonic()
        self.profile = Profile(params.profile, trace) if params.profile and trace else None
        self._resume()

    @property
    def done(self) -> int:
        """Steps that lie behind."""
        return len(self.history) * self.steps_per_epoch + self.step

    def run(self, *, on_step: Callable[[dict], None], on_epoch: Callable[[dict], None]) -> Trained:
        """Train the epochs that are left; the callbacks get plain values for progress and tracking.

        Raises:
            Preempted: SIGTERM came, with which clusters announce that they take a machine back; the step was ended
                and the state written.
        """
        with self._ending_on_sigterm(), self.drawing() as self.drawers:
            return self._run(on_step, on_epoch)

    def _run(self, on_step: Callable[[dict], None], on_epoch: Callable[[dict], None]) -> Trained:
        while len(self.history) < self.params.epochs and not self._tired():
            row = self._epoch(len(self.history), on_step)
            self.history.append(row)
            self.step, self.sums = 0, {}
            on_epoch(row)
            if len(self.history) % self.params.checkpoint_every == 0 or len(self.history) == self.params.epochs:
                self._save()
        if self.profile:
            self.profile.end()
        return Trained(self.shipped(), self.history)

    def drawing(self) -> contextlib.AbstractContextManager:
        """What draws pages ahead: processes for a GPU; else nothing, threads are started for each epoch."""
        if self.device.type == "cuda" and self.params.workers and self.train.drawn:
            return drawing_processes(self.train, self.params.workers)
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _ending_on_sigterm(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # Only a main thread may listen; whoever runs a training elsewhere ends it by its own means.
            return

        def stop(*_) -> None:
            self.asked = True

        after = signal.signal(signal.SIGTERM, stop)
        try:
            yield
        except Preempted:
            after = stop  # It ends by itself now, and a launcher that passes the signal on must not cut that short.
            raise
        finally:
            signal.signal(signal.SIGTERM, after)

    def shipped(self) -> Network:
        """Return the weights that are evaluated and shipped: the average where there is one."""
        return self.average.module if self.average else self.task.net

    def _epoch(self, epoch: int, on_step: Callable[[dict], None]) -> dict:
        p = self.params
        scale = page_scale(epoch, epochs=p.epochs, start=p.page_scale_start, full_from=p.full_scale_from)
        self.task.train()
        batches = self.train.batches(batch_size=self.batch_size, epoch=epoch, scale=scale, workers=p.workers,
                                     start=self.step, part=(self.world.rank, self.world.size),
                                     pinned=self.device.type == "cuda", processes=self.drawers)
        clock = Clock(self.device)
        for batch in batches:
            clock.lap("data")
            values = self._step(batch, clock)
            self.step += 1
            self.sums = {name: self.sums.get(name, 0.0) + value
                         for name, value in {**values, **clock.spent()}.items()}
            if self.profile:
                self.profile.step()
            on_step({"epoch": epoch + 1, "step": self.step, "steps": self.steps_per_epoch, **values})
            if self.stopping or self._due():
                self._save()
            if self.stopping:
                self.say("stopped as asked, the state is written: --resume goes on")
                raise Preempted(PREEMPTED)
        return self._row(epoch, scale)

    def _row(self, epoch: int, scale: float) -> dict:
        """What history says of an epoch: mean losses, the rate, where the time went, and how well it reads."""
        spent = {name: self.sums[f"seconds_{name}"] for name in PHASES}
        seconds = sum(spent.values())
        return {"epoch": epoch + 1, **{name: value / self.step for name, value in self.sums.items()
                                       if not name.startswith("seconds_")}, "page_scale": scale,
                "learning_rate": self.schedule.get_last_lr()[0],
                "images_per_second": self.step * self.batch_size / seconds, "seconds": seconds,
                **{f"seconds_{name}": value for name, value in spent.items()}, **gpu_memory(self.device),
                **({} if self.validate is None else {"validate_auroc": self._watch()})}

    def _step(self, batch: Batch, clock: Clock) -> dict[str, float]:
        values: dict[str, torch.Tensor] = {}
        pieces = _pieces(batch, self.params.accumulate)
        for number, piece in enumerate(pieces, start=1):
            piece = Batch(*(None if part is None else part.to(self.device, non_blocking=True) for part in piece))
            quiet = self.world.size > 1 and number < len(pieces)
            with self.wrapped.no_sync() if quiet else contextlib.nullcontext():
                with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
                    result = self._forward(piece)
                clock.lap("forward")
                (result.loss / len(pieces)).backward()
                clock.lap("backward")
            for name, value in {"loss": result.loss.detach(), **result.parts}.items():
                values[name] = values.get(name, 0) + value / len(pieces)
        norm = nn.utils.clip_grad_norm_(self.task.parameters(), self.params.grad_clip)
        if not torch.isfinite(norm):
            raise ValueError(f"train.learning_rate: the loss ran away in epoch {len(self.history) + 1}; lower it")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        if self.average:
            self._average()
        agreed = self._agree(values)
        clock.lap("optimizer")
        return agreed

    def _forward(self, batch: Batch) -> StepResult:
        """One forward pass, compiled where that is wanted and works."""
        if self.compiled is not None:
            try:
                return self.compiled(batch)
            except Exception as error:
                # What a compiler lacks (a C++ toolchain, an operator) surfaces as a dozen types.
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
                self.say(f"train.compile: goes on without, the compiler failed ({reason})")
                self.compiled = None
        return self.wrapped(batch)

    def _agree(self, values: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the values' mean over the processes, in one exchange with the wish to stop of any of them."""
        numbers = torch.stack([*(value.float() for value in values.values()),
                               torch.tensor(float(self.asked), device=self.device)])
        *means, stopping = self.world.total(numbers).tolist()
        self.stopping = stopping > 0
        return {name: mean / self.world.size for name, mean in zip(values, means, strict=True)}

    def _due(self) -> bool:
        """Whether it is time for a state; the first process's clock decides for all."""
        p = self.params
        by_steps = bool(p.save_steps) and self.done % p.save_steps == 0
        if self.states is None or not p.save_minutes:
            return by_steps
        if self.world.size == 1 or self.step % 16 == 0:
            late = time.monotonic() - self.saved_at > 60 * p.save_minutes
            return self.world.from_leader(late) or by_steps
        return by_steps

    def _tired(self) -> bool:
        """Whether validation has not improved for `patience` epochs."""
        patience = self.params.patience
        if not patience or self.validate is None:
            return False
        scores = [row["validate_auroc"] for row in self.history]
        return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])

    def _average(self) -> None:
        """Move the average: a short memory at first, so that it does not drag the random start along."""
        seen = int(self.average.n_averaged)
        self.average.multi_avg_fn = get_ema_multi_avg_fn(min(self.params.ema, (1 + seen) / (10 + seen)))
        self.average.update_parameters(self.task.net)
        for mean, now in zip(self.average.module.buffers(), self.task.net.buffers(), strict=True):
            mean.copy_(now)

    def _watch(self) -> float:
        """Return the macro AUROC on clean validation pages, of the weights to ship; VizECGNet reads the page alone."""
        renderers = self.validate.renderers()
        mine = np.arange(len(self.validate))[self.world.share(len(self.validate))]
        chunks = np.array_split(mine, max(1, len(mine) // 64)) if len(mine) else []
        read = np.empty((0, self.validate.targets.shape[1]), np.float32)
        if len(mine):
            drawn = ahead(chunks, lambda chunk: self.validate.draw(chunk, epoch=0, renderers=renderers),
                          self.params.workers)
            read = predict_batches(self.shipped(), drawn, device=self.device)
        probabilities = np.concatenate(self.world.gather(read))
        scores = [auroc(self.validate.targets[:, c], probabilities[:, c]) for c in range(probabilities.shape[1])]
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")

    def _rate(self, step: int) -> float:
        total = self.params.epochs * self.steps_per_epoch
        rising = max(1, round(self.params.warmup * total))
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, total - rising))))

    def _wrapped(self) -> nn.Module:
        """The step as it is called: among several processes with the exchange of gradients around it."""
        wrapped = self.task
        if self.world.size > 1:
            wrapped = DistributedDataParallel(self.task, forward_sync_buffers=False)
        self.compiled = torch.compile(wrapped) if self.params.compile else None
        return wrapped

    def _save(self) -> None:
        if self.states is None:
            return
        randomness = self.world.gather(_randomness(self.device))
        if self.world.leads:
            self.states.save({
                "signature": self.signature, "task": self.task.state_dict(), "optimizer": self.optimizer.state_dict(),
                "schedule_step": self.schedule.last_epoch, "history": self.history, "step": self.step,
                "sums": self.sums, "randomness": randomness,
                "average": self.average.state_dict() if self.average else {}}, step=self.done)
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        saved = self.world.from_leader(self.states.latest() if self.states and self.world.leads else None)
        if saved is None:
            return
        if saved["signature"] != self.signature:
            raise ValueError(f"{self.states.folder}: holds the state of a run with other parameters or data; "
                             "delete it, or train without --resume")
        self.task.load_state_dict(saved["task"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.last_epoch = saved["schedule_step"]
        self.schedule._last_lr = [group["lr"] for group in self.optimizer.param_groups]
        if self.average:
            self.average.load_state_dict(saved["average"])
        self.history, self.step, self.sums = saved["history"], saved["step"], saved["sums"]
        # Where there are more processes than before, some begin with another's dropout; the weights are the same.
        _set_randomness(saved["randomness"][self.world.rank % len(saved["randomness"])], self.device)


def _shared(batch_size: int, params: TrainParams, world: World) -> int:
    """Return the batch in a size that processes and accumulation share out evenly.

    Raises:
        ValueError: the declared one does not.
    """
    parts = world.size * params.accumulate
    if params.batch_size % parts:
        raise ValueError(f"train.batch_size: {params.batch_size} is no multiple of {world.size} processes times "
                         f"train.accumulate {params.accumulate}")
    return max(parts, batch_size - batch_size % parts)


def _pieces(batch: Batch, count: int) -> list[Batch]:
    parts = [[None] * count if part is None else part.chunk(count) for part in batch]
    return [Batch(*piece) for piece in zip(*parts, strict=True)]


def _randomness(device: torch.device) -> list[torch.Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_randomness(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that autocast uses; "auto" takes bf16 only where the hardware multiplies it natively.

    Without matrix units bf16 is emulated and several times slower than fp32 on a CPU.
    """
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def _decay_groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay is for matrices and kernels; norms and biases get none, nor does what says `decays = False`."""
    decayed, plain = [], []
    for p in net.parameters():
        (decayed if p.ndim > 1 and getattr(p, "decays", True) else plain).append(p)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
