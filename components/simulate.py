"""simulate: an archive of simulated WFDB records to try the pipeline on."""

from dataclasses import dataclass
from pathlib import Path

from components.progress import track
from ecg.sources.simulated import LABEL_NAMES, write_archive


@dataclass(frozen=True)
class SimulateResult:
    """What was written: records, patients, and how many records carry each finding ("NORM 81, AFIB 84, ...")."""

    records: int
    patients: int
    findings: str


def run(*, out: Path, records: int, seed: int) -> SimulateResult:
    """Write a simulated archive (`ecg.sources.simulated`) to the folder `out`.

    Raises:
        ValueError: a number out of range, or `out` holds something else.
    """
    visits = write_archive(out, records=records, seed=seed,
                           watch=lambda planned: track(planned, total=records, label="simulate"))
    counts = {name: sum(name in visit.findings for visit in visits) for name in LABEL_NAMES}
    return SimulateResult(records=len(visits), patients=len({visit.patient.name for visit in visits}),
                          findings=", ".join(f"{name} {count}" for name, count in counts.items()))
