"""gate: figures, and the champion's on the same pages, to one yes or no and its reasons."""

import difflib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from components.gate.evaluation import figures, read_evaluation
from ecg.records import write_beside
from model.package import evaluation_digest
from model.params import GateParams, Rule


@dataclass(frozen=True)
class GateResult:
    """Whether every rule is satisfied, and the reasons of those that are not."""

    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Verdict(Rule):
    """A rule, what it was applied to, and what came of it."""

    value: float | None = None
    passed: bool = False
    reason: str = ""


def run(*, evaluation: Path, decision: Path, params: GateParams, seed: int,
        champion: Path | None = None) -> GateResult:
    """Decide whether a model may go on. A model that fails is an outcome, not an error.

    Args:
        evaluation: what evaluate wrote about the model.
        decision: the folder to write.
        params: section gate of params.yaml.
        seed: not used; every step has one.
        champion: what evaluate wrote about the champion on the same pages; its macro AUROC, less
            `champion_margin`, is then one more limit for each capture.

    Raises:
        ValueError: no rule is declared, or one names a figure that is not there; an evaluation is damaged, or
            says other figures than its predictions give; the champion was measured on other pages.
    """
    if not params.rules:
        raise ValueError("gate.rules: empty; declare at least one rule, a gate without any lets every model pass")
    metrics = read_evaluation(evaluation)
    known = figures(metrics)
    verdicts = [_judge(rule, known, evaluation) for rule in params.rules]
    if champion is not None:
        verdicts += [_judge(rule, known, evaluation, origin=", the champion's less gate.champion_margin")
                     for rule in _champion_rules(metrics, champion, params.champion_margin)]
    passed = all(verdict.passed for verdict in verdicts)
    document = {"passed": passed, "rules": [asdict(verdict) for verdict in verdicts],
                "evaluation_digest": evaluation_digest(evaluation), "checkpoint_digest": metrics["checkpoint_digest"],
                "champion_digest": evaluation_digest(champion) if champion else None}
    with write_beside(decision) as folder:
        (folder / "decision.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return GateResult(passed, tuple(verdict.reason for verdict in verdicts if not verdict.passed))


def _judge(rule: Rule, known: dict[str, dict], evaluation: Path, origin: str = "") -> Verdict:
    if rule.metric not in known:
        near = difflib.get_close_matches(rule.metric, known, n=3, cutoff=0.5) or list(known)[:3]
        raise ValueError(f"gate.rules: {evaluation}/metrics.json has no figure {rule.metric!r}; "
                         f"near it: {', '.join(near)}")
    value = known[rule.metric].get(rule.bound)
    wanted = f"{rule.must_be.replace('_', ' ')} {rule.limit:.4g}"
    name = rule.metric if rule.bound == "value" else f"{rule.metric}, {rule.bound} end of its interval,"
    reason = f"{name} is {'not measurable' if value is None else format(value, '.4f')}, must be {wanted}"
    # What cannot be measured satisfies nothing.
    passed = value is not None and (value >= rule.limit if rule.must_be == "at_least" else value <= rule.limit)
    return Verdict(**asdict(rule), value=value, passed=passed, reason=reason + origin)


def _champion_rules(metrics: dict, champion: Path, margin: float) -> list[Rule]:
    """One rule a capture: macro AUROC at least the champion's less the margin.

    Raises:
        ValueError: the champion was measured on other pages, or cannot be measured on these.
    """
    best = read_evaluation(champion)
    if best["pages_digest"] != metrics["pages_digest"]:
        raise ValueError(f"{champion}/metrics.json: pages_digest is not that of the model's evaluation; evaluate the "
                         "champion on the same pages")
    rules = []
    for capture, block in best["test"].items():
        value = block["macro"]["auroc"]["value"]
        if value is None:
            raise ValueError(f"{champion}/metrics.json: test.{capture}.macro.auroc cannot be measured; leave out "
                             "--champion, or evaluate on pages with positives and negatives")
        rules.append(Rule(f"test.{capture}.macro.auroc", "value", "at_least", value - margin))
    return rules
