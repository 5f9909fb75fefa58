"""validate: is the record store fit to learn from? The run stops on a failed critical expectation."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from components.progress import say
from components.validate.drift import drift
from components.validate.expectations import Outcome, Suite, check
from components.validate.statistics import expectation_table, quality_table
from components.validate.suite import drift_rules, exclusive_pairs, rule_groups
from ecg.records import RecordStore, write_beside
from model.params import ValidateParams


@dataclass(frozen=True)
class ValidateResult:
    """How many expectations were checked; `warnings` names those that failed without stopping the run."""

    records: int
    expectations: int
    unacceptable: int
    """Records whose recording is below what the CinC Challenge 2011 accepted."""
    warnings: tuple[str, ...]


def run(*, records: Path, validation: Path, params: ValidateParams, seed: int,
        reference: Path | None = None) -> ValidateResult:
    """Check a record store.

    Args:
        records: the store.
        validation: folder to write: `validation.json` and `quality.parquet`, which are the same whenever the same
            store is checked; `data_docs/`, which carry the time; with a reference `drift.json`.
        params: section `validate`.
        seed: unused; nothing is drawn.
        reference: a store that the fields are compared with; a drift is a warning.

    Raises:
        ValueError: the folder is no store, or a critical expectation failed; the results are written then too.
    """
    store = RecordStore.open(records, compact=True)
    table = expectation_table(store, exclusive_pairs(params, store.label_names))
    suites = [Suite(title, table, rules) for title, rules in rule_groups(params, store.label_names).items()]
    if reference is not None:
        other = expectation_table(RecordStore.open(reference, compact=True))
        suites.append(Suite("drift", drift(table, other, store.label_names), drift_rules(params)))
    with write_beside(validation) as folder:
        outcomes = check(suites, docs=folder / "data_docs")
        quality = quality_table(table)
        quality.to_parquet(folder / "quality.parquet", index=False)
        if reference is not None:
            _write_drift(folder / "drift.json", suites[-1], RecordStore.open(reference))
        stopped = [o for o in outcomes if o.critical and not o.success]
        warnings = [o for o in outcomes if not o.critical and not o.success]
        _write(folder / "validation.json", store, outcomes, stopped, warnings)
    for outcome in warnings:
        say(f"validate: warning: {_sentence(outcome)}")
    if stopped:
        raise ValueError(f"{records}: {'; '.join(map(_sentence, stopped))}; see {validation}/data_docs/index.html")
    return ValidateResult(len(store), len(outcomes), int((quality["acceptable"] == 0).sum()),
                          tuple(o.name for o in warnings))


def _write_drift(path: Path, suite: Suite, reference: RecordStore) -> None:
    table = suite.table.rename(columns={"record": "field"})
    rows = table.astype(object).where(table.notna(), None)
    path.write_text(json.dumps({"schema": 1, "reference_digest": reference.digest,
                                "fields": rows.to_dict(orient="records")}, indent=2) + "\n")


def _write(path: Path, store: RecordStore, outcomes: list[Outcome], stopped: list[Outcome],
           warnings: list[Outcome]) -> None:
    path.write_text(json.dumps({
        "schema": 1, "success": not stopped, "critical_failed": [o.name for o in stopped],
        "warnings": [o.name for o in warnings], "records": len(store), "data_digest": store.digest,
        "expectations": [asdict(o) for o in outcomes]}, indent=2) + "\n")


def _sentence(outcome: Outcome) -> str:
    examples = f" (records {', '.join(outcome.examples)})" if outcome.examples else ""
    return f"{outcome.name} fails with {outcome.observed}{examples}"
