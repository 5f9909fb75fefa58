"""Where a step's time goes: its phases by the clock, and all of it in a profiler's trace."""

import time
from pathlib import Path

import torch

PHASES = ("data", "forward", "backward", "optimizer")
"""Of a step; history says how many seconds of an epoch each took."""
SETTLING = 3
"""Steps before the profiler's first: they allocate, choose algorithms and compile."""


class Clock:
    """Seconds of a step's phases; on a GPU each lap waits for the work that was sent."""

    def __init__(self, device: torch.device):
        self.device, self.last, self.laps = device, time.perf_counter(), dict.fromkeys(PHASES, 0.0)

    def lap(self, phase: str) -> None:
        """Add the seconds since the last call to a phase."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.laps[phase] += now - self.last
        self.last = now

    def spent(self) -> dict[str, float]:
        """Return the laps since the last call."""
        laps, self.laps = self.laps, dict.fromkeys(PHASES, 0.0)
        return {f"seconds_{phase}": seconds for phase, seconds in laps.items()}


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
