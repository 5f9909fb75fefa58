"""Where a step's time goes: its phases by the clock, and all of it in a profiler's trace."""

import time
from pathlib import Path

import torch

PHASES = ("data", "forward", "backward", "optimizer")
"""Of a step; history says how many seconds of an epoch each took."""
SETTLING = 3
"""Steps before the profiler's first: they allocate, choose algorithms and compile."""


class Clock:
    """Seconds of a step's phases; on a GPU by its own clock, so that no lap waits for the work that was sent."""

    def __init__(self, device: torch.device):
        self.on_gpu = device.type == "cuda"
        self.last, self.laps = self._now(), []

    def lap(self, phase: str) -> None:
        """Add the time since the last call to a phase."""
        now = self._now()
        self.laps.append((phase, self.last, now))
        self.last = now

    def spent(self) -> dict[str, float]:
        """Return the laps since the last call; waits for the GPU to come to the last of them."""
        spent = dict.fromkeys((f"seconds_{phase}" for phase in PHASES), 0.0)
        for phase, begun, ended in self.laps:
            spent[f"seconds_{phase}"] += self._between(begun, ended)
        self.laps = []
        return spent

    def _now(self) -> "float | torch.cuda.Event":
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, begun: "float | torch.cuda.Event", ended: "float | torch.cuda.Event") -> float:
        if not self.on_gpu:
            return ended - begun
        ended.synchronize()
        return begun.elapsed_time(ended) / 1000


class Profile:
    """Records some steps, once the first have settled, and writes them as a trace for chrome://tracing or Perfetto.

    Args:
        steps: how many are recorded.
        file: where to, `.json` or `.json.gz`.
    """

    def __init__(self, steps: int, file: Path):
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        schedule = torch.profiler.schedule(wait=SETTLING - 1, warmup=1, active=steps, repeat=1)
        self.profiler = torch.profiler.profile(
            activities=activities, schedule=schedule, record_shapes=True, acc_events=True,
            on_trace_ready=lambda profiler: profiler.export_chrome_trace(str(file)))
        self.left = SETTLING + steps
        self.profiler.start()

    def step(self) -> None:
        """Take note of the end of a step; after the last recorded one the trace is written and nothing more kept."""
        if self.left > 0:
            self.left -= 1
            self.profiler.step()
            if not self.left:
                self.profiler.stop()

    def end(self) -> None:
        """Write what there is of a training that was shorter than the steps to be recorded."""
        if self.left > 0:
            self.left = 0
            self.profiler.stop()


def gpu_memory(device: torch.device) -> dict[str, float]:
    """Return the most memory that tensors took on a GPU, GiB; its utilisation is among MLflow's system metrics."""
    if device.type != "cuda":
        return {}
    return {"gpu_memory_gib": torch.cuda.max_memory_allocated(device) / 2**30}
