"""validate: is the record store fit to learn from? The run stops on a failed critical expectation."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from components.progress import say
from components.validate.expectations import Outcome, check
from components.validate.statistics import expectation_table
from components.validate.suite import rules
from ecg.records import RecordStore, write_beside
from model.params import ValidateParams


@dataclass(frozen=True)
class ValidateResult:
    """How many expectations were checked; `warnings` names those that failed without stopping the run."""

    records: int
    expectations: int
    warnings: tuple[str, ...]


def run(*, records: Path, validation: Path, params: ValidateParams, seed: int) -> ValidateResult:
    """Check a record store.

    Args:
        records: the store.
        validation: folder to write: `validation.json` and `data_docs/`.
        params: section `validate`.
        seed: unused; nothing is drawn.

    Raises:
        ValueError: the folder is no store, or a critical expectation failed; the results are written then too.
    """
    store = RecordStore.open(records)
    with write_beside(validation) as folder:
        outcomes = check(expectation_table(store), rules(params, store.label_names), docs=folder / "data_docs",
                         title="records")
        stopped = [o for o in outcomes if o.critical and not o.success]
        warnings = [o for o in outcomes if not o.critical and not o.success]
        _write(folder / "validation.json", store, outcomes, stopped, warnings)
    for outcome in warnings:
        say(f"validate: warning: {_sentence(outcome)}")
    if stopped:
        raise ValueError(f"{records}: {'; '.join(map(_sentence, stopped))}; see {validation}/data_docs/index.html")
    return ValidateResult(len(store), len(outcomes), tuple(o.name for o in warnings))


def _write(path: Path, store: RecordStore, outcomes: list[Outcome], stopped: list[Outcome],
           warnings: list[Outcome]) -> None:
    path.write_text(json.dumps({
        "schema": 1, "success": not stopped, "critical_failed": [o.name for o in stopped],
        "warnings": [o.name for o in warnings], "records": len(store), "data_digest": store.digest,
        "expectations": [asdict(o) for o in outcomes]}, indent=2) + "\n")


def _sentence(outcome: Outcome) -> str:
    examples = f" (records {', '.join(outcome.examples)})" if outcome.examples else ""
    return f"{outcome.name} fails with {outcome.observed}{examples}"
