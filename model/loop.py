"""The training loop: one process, autocast, warm-up and cosine, averaged weights, resume."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.baselines import Network
from model.checkpoint import load_state, save_state
from model.data import PageSource, page_scale
from model.inference import predict_batches
from model.metrics import auroc
from model.params import TrainParams
from model.task import Batch, DistillationTask


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
        validate: the records on which the image stream is watched; they choose nothing.
        params: the optimisation.
        seed: of weights' dropout and of the data.
        state: file of the whole state; None keeps none. An existing file is resumed from.
        signature: what the run depends on; a state with another signature is refused.
    """

    def __init__(self, net: Network, *, train: PageSource, validate: PageSource, params: TrainParams, seed: int,
                 state: Path | None, signature: str):
        self.params, self.train, self.validate, self.state, self.signature = params, train, validate, state, signature
        torch.manual_seed(seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.task = DistillationTask(net, params).to(self.device, memory_format=torch.channels_last)
        self.dtype = autocast_dtype(params.precision, self.device)
        self.steps_per_epoch = max(1, len(train) // params.batch_size)
        self.optimizer = torch.optim.AdamW(_decay_groups(net, params.weight_decay), lr=params.learning_rate,
                                           betas=(0.9, 0.98), fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(params.ema)) if params.ema else None
        self.history: list[dict] = []
        self._resume()

    def run(self, *, on_step: Callable[[dict], None], on_epoch: Callable[[dict], None]) -> Trained:
        """Train the epochs that are left; the callbacks get plain values for progress and tracking."""
        for epoch in range(len(self.history), self.params.epochs):
            self.history.append(self._epoch(epoch, on_step))
            on_epoch(self.history[-1])
            if self.state and ((epoch + 1) % self.params.checkpoint_every == 0 or epoch + 1 == self.params.epochs):
                self._save()
        return Trained(self.shipped(), self.history)

    def shipped(self) -> Network:
        """Return the weights that are evaluated and shipped: the average where there is one."""
        return self.average.module if self.average else self.task.net

    def _epoch(self, epoch: int, on_step: Callable[[dict], None]) -> dict:
        p, started = self.params, time.monotonic()
        scale = page_scale(epoch, epochs=p.epochs, start=p.page_scale_start, full_from=p.full_scale_from)
        sums: dict[str, float] = {}
        self.task.train()
        batches = self.train.batches(batch_size=p.batch_size, epoch=epoch, scale=scale, workers=p.workers)
        for step, batch in enumerate(batches):
            values = self._step(batch)
            sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
            on_step({"epoch": epoch + 1, "step": step + 1, "steps": self.steps_per_epoch, **values})
        seconds = time.monotonic() - started
        row = {name: value / (step + 1) for name, value in sums.items()}
        return {"epoch": epoch + 1, **row, "page_scale": scale, "learning_rate": self.schedule.get_last_lr()[0],
                "images_per_second": (step + 1) * p.batch_size / seconds, "seconds": seconds,
                "validate_auroc": self._watch()}

    def _step(self, batch: Batch) -> dict[str, float]:
        batch = Batch(*(None if part is None else part.to(self.device, non_blocking=True) for part in batch))
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            result = self.task(batch)
        result.loss.backward()
        norm = nn.utils.clip_grad_norm_(self.task.parameters(), self.params.grad_clip)
        if not torch.isfinite(norm):
            raise ValueError(f"train.learning_rate: the loss ran away in epoch {len(self.history) + 1}; lower it")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        if self.average:
            self._average()
        return {"loss": result.loss.item(), **{name: value.item() for name, value in result.parts.items()}}

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
        chunks = np.array_split(np.arange(len(self.validate)), max(1, len(self.validate) // 64))
        probabilities = predict_batches(
            self.shipped(), (self.validate.draw(chunk, epoch=0, renderers=renderers) for chunk in chunks),
            device=self.device)
        scores = [auroc(self.validate.targets[:, c], probabilities[:, c]) for c in range(probabilities.shape[1])]
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")

    def _rate(self, step: int) -> float:
        total = self.params.epochs * self.steps_per_epoch
        rising = max(1, round(self.params.warmup * total))
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, total - rising))))

    def _save(self) -> None:
        save_state(self.state, {
            "signature": self.signature, "task": self.task.state_dict(), "optimizer": self.optimizer.state_dict(),
            "schedule_step": self.schedule.last_epoch, "history": self.history, "rng": torch.get_rng_state(),
            "average": self.average.state_dict() if self.average else {}})

    def _resume(self) -> None:
        saved = load_state(self.state) if self.state else None
        if saved is None:
            return
        if saved["signature"] != self.signature:
            raise ValueError(f"{self.state}: belongs to a run with other parameters or data; delete it, or train "
                             "without --resume")
        self.task.load_state_dict(saved["task"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.last_epoch = saved["schedule_step"]
        self.schedule._last_lr = [group["lr"] for group in self.optimizer.param_groups]
        if self.average:
            self.average.load_state_dict(saved["average"])
        self.history = saved["history"]
        torch.set_rng_state(saved["rng"])


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
    """Weight decay is for matrices and kernels; norms and biases get none."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
