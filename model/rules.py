"""The gate's rules: what one may name, what it is compared with, and the verdict with its numbers.

A figure is a dotted path, either of metrics.json (`test.<capture>.macro.auroc`, `test.<capture>.classes.<finding>.f1`,
`test.<capture>.macro.ece`) or of what the network costs (`network.latency_ms`, `network.megabytes`,
`network.parameters`). The same functions judge a model in the gate and check a decision wherever one is believed.
"""

import difflib
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from model.claims import figures, predictions_of, read_evaluation
from model.comparisons import Measured, gap, lead
from model.params import EvaluateParams, Rule
from model.typed import from_dict

NO_CHAMPION = "no champion was given to compare with"


@dataclass(frozen=True)
class Verdict(Rule):
    """A rule, what it was applied to, and what came of it."""

    value: float | None = None
    passed: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Subject:
    """A model before the gate: its evaluation as it was read, and what its network costs."""

    evaluation: Path
    metrics: dict
    predictions: pd.DataFrame
    cost: dict[str, float]

    @classmethod
    def open(cls, evaluation: Path, cost: dict[str, float]) -> "Subject":
        """Read an evaluation without believing it.

        Raises:
            ValueError: what `model.claims.read_evaluation` raises.
        """
        metrics = read_evaluation(evaluation)
        return cls(evaluation, metrics, predictions_of(evaluation, metrics), cost)

    @property
    def figures(self) -> dict[str, dict]:
        """Every figure that an absolute rule may name."""
        return {**figures(self.metrics), **{f"network.{name}": {"value": value} for name, value in self.cost.items()}}

    @property
    def measured(self) -> Measured:
        params = from_dict(EvaluateParams, self.metrics["params"], f"{self.evaluation}/metrics.json: params")
        return Measured(self.predictions, tuple(self.metrics["label_names"]), params, self.metrics["seed"])


def judge(rule: Rule, subject: Subject, champion: Subject | None) -> Verdict:
    """Apply one rule.

    Raises:
        ValueError: it names a figure that is not there, or one that cannot be compared so.
    """
    if rule.comparison == "absolute":
        return conclude(rule, _known(rule, subject).get(rule.bound), rule.metric)
    if rule.comparison == "gap":
        found = gap(rule.metric, rule.by, subject.measured)
        return conclude(rule, getattr(found, rule.bound), f"{rule.metric}, largest less smallest by {rule.by} "
                                                          f"({found.detail}),")
    if champion is None:
        return Verdict(**declared(rule), passed=True, reason=f"{rule.metric}: {NO_CHAMPION}")
    found = lead(rule.metric, subject.measured, champion.measured)
    return conclude(rule, getattr(found, rule.bound), f"{rule.metric} less the champion's")


def conclude(rule: Rule, value: float | None, name: str) -> Verdict:
    """Compare a value with a rule's limit, and say so."""
    name = name if rule.bound == "value" else f"{name.removesuffix(',')}, {rule.bound} end of its interval,"
    shown = "not measurable" if value is None else f"{value:.4f}"
    return Verdict(**declared(rule), value=value, passed=holds(rule, value),
                   reason=f"{name} is {shown}, must be {rule.must_be.replace('_', ' ')} {rule.limit:.4g}")


def holds(rule: Rule, value: float | None) -> bool:
    """Whether a value satisfies a rule. What cannot be measured satisfies nothing."""
    return value is not None and (value >= rule.limit if rule.must_be == "at_least" else value <= rule.limit)


def declared(rule: Rule) -> dict:
    """The fields of a rule as params.yaml declares it, without those of a verdict."""
    return {field.name: getattr(rule, field.name) for field in fields(Rule)}


def rules_of(decided: dict, where: str) -> list[Rule]:
    """Return the declared rules in a decision's verdicts.

    Raises:
        ValueError: a field is missing, unknown or of the wrong type.
    """
    names = [field.name for field in fields(Rule)]
    return [from_dict(Rule, {name: row[name] for name in names if name in row}, f"{where}: rules[{i}]")
            for i, row in enumerate(decided["rules"])]


def refuse_other_judgement(decided: dict, where: str, subject: Subject) -> None:
    """Judge again what a decision says, as far as that does not take the champion.

    Args:
        decided: what decision.json holds.
        where: its path, for the message.
        subject: the evaluation that it is about.

    Raises:
        ValueError: a verdict is not what the evaluation gives, or the answer is not what the verdicts give.
    """
    for i, (rule, row) in enumerate(zip(rules_of(decided, where), decided["rules"], strict=True)):
        if rule.comparison == "champion":
            unknown = row["value"] is None and decided.get("champion_digest") is None
            right = {"passed": unknown or holds(rule, row["value"])}
        else:
            again = judge(rule, subject, None)
            right = {"value": again.value, "passed": again.passed}
        for name, value in right.items():
            if not _alike(row[name], value):
                raise ValueError(f"{where}: rules[{i}].{name} ({rule.metric}) is {row[name]!r}, but the evaluation "
                                 f"gives {value!r}; run 'vizecg gate' again")
    if not decided["rules"] or decided["passed"] is not all(row["passed"] for row in decided["rules"]):
        raise ValueError(f"{where}: passed is {decided['passed']!r}, which its rules do not give; run 'vizecg gate' "
                         "again")


def _alike(a, b) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
    return abs(a - b) <= 1e-6 if numbers else a is b


def _known(rule: Rule, subject: Subject) -> dict:
    known = subject.figures
    if rule.metric not in known:
        near = difflib.get_close_matches(rule.metric, known, n=3, cutoff=0.5) or list(known)[:3]
        raise ValueError(f"gate.rules: {subject.evaluation}/metrics.json has no figure {rule.metric!r}; "
                         f"near it: {', '.join(near)}")
    return known[rule.metric]
