"""The papers of a model version, evaluation and decision: whether they are about this package, and what they say.

register reads them from the pipeline's folders, deploy, promote and rollback from the registry; both ask here.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from model.checkpoint import read_json
from model.package import check_package, decided_on, evaluation_digest
from model.params import GateParams
from model.reading import file_digest
from model.rules import Subject, refuse_other_judgement, rules_of

DECISION, EVALUATION = "gate", "evaluation"
"""Folders of a version's papers in its run."""


@dataclass(frozen=True)
class Papers:
    """What is known of a package once its papers have been checked."""

    meta: dict
    """The package's model.json."""
    decided: dict
    """What gate decided."""
    metrics: dict

    @property
    def passed(self) -> bool:
        return self.decided["passed"] is True and self.meta["gate"]["passed"] is True

    @property
    def reasons(self) -> str:
        """Why the gate refused."""
        return "; ".join(rule["reason"] for rule in self.decided["rules"] if not rule["passed"])


def check_papers(package: Path, evaluation: Path, decision: Path, *, digest: str | None = None) -> Papers:
    """Check that a package, an evaluation and a decision are about one model and say what they said when made.

    Args:
        package, evaluation, decision: the folders.
        digest: of the decision file as it was registered; None where it must be the one that was packaged.

    Raises:
        ValueError: naming the file that is about something else or was changed.
    """
    meta = check_package(package)
    where = decision / "decision.json"
    subject = Subject.open(evaluation, {})
    decided = decided_on(evaluation, decision, checkpoint=meta["checkpoint_digest"])
    subject = replace(subject, cost=_cost(decided, where))
    for name in ("pages_digest", "data_digest"):
        if decided.get(name) != subject.metrics[name]:
            raise ValueError(f"{where}: {name} is not that of {evaluation}/metrics.json; run 'vizecg gate' again")
    if subject.metrics["data_digest"] != meta["data_digest"]:
        raise ValueError(f"{evaluation}/metrics.json: data_digest is not that of {package}/model.json; run "
                         "'vizecg evaluate' again")
    refuse_other_judgement(decided, str(where), subject)
    if read_json(evaluation / "thresholds.json", made_by="vizecg evaluate") != meta["thresholds"]:
        raise ValueError(f"{package}/model.json: thresholds are not those of {evaluation}; package again")
    _refuse_other_certainty(meta, subject.metrics, package, evaluation)
    if evaluation_digest(evaluation) != meta.get("evaluation_digest"):
        raise ValueError(f"{package}/model.json: evaluation_digest is not that of {evaluation}; package again")
    if original_digest(where) != meta.get("decision_digest") or digest not in (None, file_digest(where)):
        raise ValueError(f"{where}: is not the decision with which {package} was made (decision_digest); package again")
    if decided["passed"] is not meta["gate"]["passed"]:
        raise ValueError(f"{package}/model.json: gate.passed is {meta['gate']['passed']!r}, which {where} does not "
                         "say; package again")
    return Papers(meta, decided, subject.metrics)


def _refuse_other_certainty(meta: dict, metrics: dict, package: Path, evaluation: Path) -> None:
    """Calibration, conformal bounds and the test for an ECG page are the evaluation's too, where it has any."""
    block = next(iter(metrics["test"].values()))
    stated = (meta.get("certainty") or {}).get("findings", {})
    wanted = {name: row["calibration"] for name, row in block["classes"].items() if "calibration" in row}
    for field, found, right in (("certainty", stated, wanted),
                                ("refusal", meta.get("refusal"), metrics.get("refusal", {}).get("test"))):
        if found != right:
            raise ValueError(f"{package}/model.json: {field} is not that of {evaluation}/metrics.json; package again")


def refuse_other_rules(decision: Path, decided: dict, params: GateParams) -> None:
    """Refuse a decision that was taken with other rules than those declared.

    Raises:
        ValueError: naming the first rule that differs.
    """
    where = f"{decision}/decision.json"
    judged = rules_of(decided, where)
    for i, rule in enumerate(params.rules):
        if i >= len(judged) or judged[i] != rule:
            found = judged[i] if i < len(judged) else "missing"
            raise ValueError(f"{where}: rules[{i}] is {found}, gate.rules of the parameters declares {rule}; run "
                             "'vizecg gate' again")


def with_override(decided: dict, record: dict[str, str] | None) -> str:
    """The text of a decision file, the override recorded in it."""
    document = {**decided, "override": record} if record else decided
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def original_digest(decision: Path) -> str:
    """Return the digest that a decision file had before an override was recorded in it."""
    document = read_json(decision, made_by="vizecg gate")
    document.pop("override", None)
    return hashlib.sha256(with_override(document, None).encode()).hexdigest()


def _cost(decided: dict, where: Path) -> dict[str, float]:
    cost = decided.get("cost")
    if not isinstance(cost, dict) or not all(isinstance(value, int | float) for value in cost.values()):
        raise ValueError(f"{where}: no field cost; run 'vizecg gate' again")
    return cost
