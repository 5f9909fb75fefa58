"""gate: figures, and the champion's on the same pages, to one yes or no and its reasons."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from components.gate.witness import attest
from ecg.records import write_beside
from model.package import evaluation_digest
from model.params import GateParams, Rule
from model.rules import Subject, Verdict, conclude, judge
from model.typed import as_dict

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class GateResult:
    """Whether every rule is satisfied, and the reasons of those that are not."""

    passed: bool
    reasons: tuple[str, ...]


def run(*, evaluation: Path, checkpoint: Path, pages: Path, decision: Path, params: GateParams, seed: int,
        champion: Path | None = None) -> GateResult:
    """Decide whether a model may go on. A model that fails is an outcome, not an error.

    Nothing is believed: the figures must be what the predictions give, the predictions what checkpoint and pages
    give. Size and latency are those of the image stream, measured here.

    Args:
        evaluation: what evaluate wrote about the model.
        checkpoint: the model.
        pages: on which it was evaluated.
        decision: the folder to write.
        params: section gate of params.yaml.
        seed: not used; every step has one.
        champion: what evaluate wrote about the champion on the same pages. Rules of the comparison `champion` need
            it; and its macro AUROC, less `champion_margin`, is one more limit for each capture.

    Raises:
        ValueError: no rule is declared, or one names a figure that is not there; a file was changed or is about
            something else; the champion was measured on other pages.
    """
    if not params.rules:
        raise ValueError("gate.rules: empty; declare at least one rule, a gate without any lets every model pass")
    subject = attest(evaluation, checkpoint, pages, spot_checks=params.spot_checks)
    best = None if champion is None else _champion(champion, subject)
    verdicts = [judge(rule, subject, best) for rule in params.rules]
    if best is not None:
        verdicts += _not_below(best, subject, params.champion_margin)
    passed = all(verdict.passed for verdict in verdicts)
    document = {"schema": SCHEMA_VERSION, "passed": passed, "rules": [asdict(verdict) for verdict in verdicts],
                "params": as_dict(params), "cost": subject.cost, "evaluation_digest": evaluation_digest(evaluation),
                **{name: subject.metrics[name] for name in ("checkpoint_digest", "pages_digest", "data_digest")},
                "champion_digest": evaluation_digest(champion) if champion else None,
                "champion_checkpoint": best.metrics["checkpoint_digest"] if best else None}
    with write_beside(decision) as folder:
        (folder / "decision.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return GateResult(passed, tuple(verdict.reason for verdict in verdicts if not verdict.passed))


def _champion(champion: Path, subject: Subject) -> Subject:
    """Read the champion's evaluation, with as little belief.

    Raises:
        ValueError: it was measured on other pages.
    """
    best = Subject.open(champion, {})
    if best.metrics["pages_digest"] != subject.metrics["pages_digest"]:
        raise ValueError(f"{champion}/metrics.json: pages_digest is not that of the model's evaluation; evaluate the "
                         "champion on the same pages")
    return best


def _not_below(best: Subject, subject: Subject, margin: float) -> list[Verdict]:
    """One verdict a capture: macro AUROC at least the champion's less the margin.

    Raises:
        ValueError: the champion's cannot be measured on these pages.
    """
    verdicts = []
    for capture, block in best.metrics["test"].items():
        value, metric = block["macro"]["auroc"]["value"], f"test.{capture}.macro.auroc"
        if value is None:
            raise ValueError(f"{best.evaluation}/metrics.json: {metric} cannot be measured; leave out "
                             "--champion, or evaluate on pages with positives and negatives")
        found = conclude(Rule(metric, limit=value - margin), subject.figures[metric]["value"], metric)
        verdicts.append(Verdict(**{**asdict(found), "reason": f"{found.reason}, the champion's less "
                                                              "gate.champion_margin"}))
    return verdicts
