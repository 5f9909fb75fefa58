"""The gate: rules, the champion, and the ways to sneak a model through."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from components.evaluate.step import run as evaluate
from components.gate.step import run
from model.package import evaluation_digest
from model.params import EvaluateParams, GateParams, Rule
from tests.components.conftest import edit_json, write_random_checkpoint

AUROC = "test.clean.macro.auroc"


@pytest.fixture
def judge(evaluations, pages, tmp_path):
    """Judges an evaluation, or a spoiled copy of one, beside its checkpoint and pages."""
    def call(evaluation, *rules: Rule, **given):
        checkpoint = evaluations[evaluation if evaluation in evaluations else next(iter(evaluations))]
        return run(evaluation=evaluation, decision=tmp_path / "decision", seed=1, **{
            "checkpoint": checkpoint, "pages": pages, "params": GateParams(rules=rules), **given})
    return call


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def evaluations(store, pages, tmp_path_factory):
    """Two models measured on the same pages, the better one first: evaluation to checkpoint."""
    root = tmp_path_factory.mktemp("gate")
    for seed in (21, 22):
        write_random_checkpoint(root / f"checkpoint{seed}", store, seed=seed)
        evaluate(checkpoint=root / f"checkpoint{seed}", pages=pages, evaluation=root / f"evaluation{seed}",
                 params=EvaluateParams(resamples=50), seed=1)
    folders = [root / f"evaluation{seed}" for seed in (21, 22)]
    return {folder: Path(str(folder).replace("evaluation", "checkpoint"))
            for folder in sorted(folders, key=lambda folder: -figure(folder)["value"])}


def figure(folder, metric: str = AUROC) -> dict:
    node = read(folder / "metrics.json")
    for name in metric.split("."):
        node = node[name]
    return node


@pytest.fixture
def evaluation(evaluations, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(next(iter(evaluations)), tmp_path / "evaluation")


@pytest.mark.parametrize("bound", ["value", "low", "high"])
@pytest.mark.parametrize("must_be, offset, passed", [
    ("at_least", -0.01, True), ("at_least", 0.01, False), ("at_most", 0.01, True), ("at_most", -0.01, False),
    ("at_least", 0.0, True), ("at_most", 0.0, True)])
def test_a_rule_compares_the_bound_it_names(judge, evaluation, tmp_path, bound, must_be, offset, passed):
    value = figure(evaluation)[bound]
    result = judge(evaluation, Rule(AUROC, bound, must_be, value + offset))
    decision = read(tmp_path / "decision" / "decision.json")
    assert result.passed == decision["passed"] == decision["rules"][0]["passed"] == passed
    assert len(result.reasons) == (not passed)
    assert decision["rules"][0]["value"] == value and f"{value:.4f}" in decision["rules"][0]["reason"]


def test_one_rule_that_fails_is_enough(judge, evaluation, tmp_path):
    result = judge(evaluation, Rule(AUROC, limit=0.0), Rule("test.clean.macro.f1", limit=1.0),
                   Rule("test.clean.macro.ece", must_be="at_most", limit=1.0))
    assert not result.passed
    assert [rule["passed"] for rule in read(tmp_path / "decision" / "decision.json")["rules"]] == [True, False, True]
    assert len(result.reasons) == 1 and "test.clean.macro.f1" in result.reasons[0]


def test_the_decision_names_what_it_is_about(judge, evaluation, tmp_path):
    judge(evaluation, Rule(AUROC, limit=0.0))
    decision = read(tmp_path / "decision" / "decision.json")
    assert decision["evaluation_digest"] == evaluation_digest(evaluation)
    assert decision["checkpoint_digest"] == read(evaluation / "metrics.json")["checkpoint_digest"]


@pytest.mark.parametrize("must_be, limit", [("at_least", -1.0), ("at_most", 2.0)])
def test_what_cannot_be_measured_never_passes(judge, evaluation, tmp_path, must_be, limit):
    # The validation split has no intervals.
    result = judge(evaluation, Rule("validate.clean.macro.auroc", "low", must_be, limit))
    assert not result.passed and "not measurable" in result.reasons[0]


def test_an_unknown_figure_is_refused_with_near_ones(judge, evaluation, tmp_path):
    with pytest.raises(ValueError, match="no figure 'test.clean.marco.auroc'; near it: test.clean.macro.auroc"):
        judge(evaluation, Rule("test.clean.marco.auroc"))
    assert not (tmp_path / "decision").exists()


def test_a_gate_without_rules_is_refused(judge, evaluation, tmp_path):
    with pytest.raises(ValueError, match="gate.rules: empty"):
        judge(evaluation)


def test_a_model_must_not_be_worse_than_the_champion(judge, evaluations, tmp_path):
    better, worse = evaluations
    gap = figure(better)["value"] - figure(worse)["value"]
    assert gap > 1e-3
    assert judge(better, Rule(AUROC, limit=0.0), champion=worse).passed
    refused = judge(worse, Rule(AUROC, limit=0.0), champion=better)
    assert not refused.passed and "champion" in refused.reasons[0]
    for margin, passed in ((gap + 1e-6, True), (gap - 1e-6, False)):
        params = GateParams(rules=(Rule(AUROC, limit=0.0),), champion_margin=margin)
        assert judge(worse, params=params, champion=better).passed == passed
    assert read(tmp_path / "decision" / "decision.json")["champion_digest"] == evaluation_digest(better)


def test_a_champion_on_other_pages_is_refused(judge, evaluations, evaluation, tmp_path):
    edit_json(evaluation / "metrics.json", pages_digest="0" * 64)
    with pytest.raises(ValueError, match="pages_digest is not that of"):
        judge(next(iter(evaluations)), Rule(AUROC, limit=0.0), champion=evaluation)


def set_figure(folder, metric: str, value, bound: str = "value") -> None:
    metrics = read(folder / "metrics.json")
    node = metrics
    for name in metric.split("."):
        node = node[name]
    node[bound] = value
    (folder / "metrics.json").write_text(json.dumps(metrics))


def change_predictions(change):
    def spoil(folder):
        predictions = pd.read_parquet(folder / "predictions.parquet")
        change(predictions).to_parquet(folder / "predictions.parquet", index=False)
    return spoil


def swap_answers(predictions):
    """Give the records their answers: perfect predictions."""
    for column in [c for c in predictions if c.startswith("p:")]:
        predictions[column] = predictions["label" + column[1:]].astype("float32")
    return predictions


def set_threshold(folder):
    thresholds = read(folder / "thresholds.json")
    edit_json(folder / "thresholds.json", **{next(iter(thresholds)): 0.123})


def drop_class(folder):
    """Take the worst class out of the figures."""
    metrics = read(folder / "metrics.json")
    metrics["test"]["clean"]["classes"].popitem()
    (folder / "metrics.json").write_text(json.dumps(metrics))


def better_pages(predictions):
    predictions["quality"] += 0.1
    return predictions


REFUSALS = {
    "bound edited": (lambda f: edit_json(f / "metrics.json", refusal={**read(f / "metrics.json")["refusal"], "test": {
        **read(f / "metrics.json")["refusal"]["test"], "least": 0.0}}), "metrics.json: refusal is not what"),
    "bound left out": (lambda f: edit_json(f / "metrics.json", refusal=None), "metrics.json: refusal is not what"),
    "qualities edited": (change_predictions(better_pages), "predictions.parquet: quality of record"),
    "qualities left out": (change_predictions(lambda p: p.drop(columns="quality")), "no column quality"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_the_bound_that_the_package_will_refuse_pages_by_is_not_believed(judge, name, evaluation, tmp_path):
    spoil, said = REFUSALS[name]
    spoil(evaluation)
    with pytest.raises(ValueError, match=said):
        judge(evaluation, Rule(AUROC, limit=0.0))
    assert not (tmp_path / "decision").exists()


TRICKS = {
    "macro figure edited": (lambda f: set_figure(f, AUROC, 0.99), "test.clean.macro.auroc.value is 0.99"),
    "figure edited by a little": (lambda f: set_figure(f, AUROC, figure(f)["value"] + 1e-5), "macro.auroc.value"),
    "interval edited": (lambda f: set_figure(f, AUROC, 0.98, "low"), "test.clean.macro.auroc.low is 0.98"),
    "other figure edited": (lambda f: set_figure(f, "test.clean.macro.ece", 0.0), "test.clean.macro.ece.value is 0.0"),
    "null turned into a figure": (lambda f: set_figure(f, "validate.clean.macro.auroc", 0.9, "low"),
                                  "validate.clean.macro.auroc.low is 0.9"),
    "class left out": (drop_class, "classes"),
    "threshold edited": (set_threshold, "thresholds.json: .* is 0.123"),
    "predictions swapped": (change_predictions(swap_answers), "but predictions.parquet gives"),
    "hard records left out": (change_predictions(lambda p: p[p.index % 3 != 0]), "but predictions.parquet gives"),
    "test split left out": (change_predictions(lambda p: p[p["split"] != "test"]), "no page of the test split"),
    "other seed": (lambda f: edit_json(f / "metrics.json", seed=99), "but predictions.parquet gives"),
    "narrower level": (lambda f: edit_json(f / "metrics.json", params={**read(f / "metrics.json")["params"],
                                                                       "level": 0.9}), "predictions.parquet gives"),
    "interval made a point": (lambda f: edit_json(f / "metrics.json", params={
        **read(f / "metrics.json")["params"], "level": 0.01}), "evaluate.level: must be"),
    "column left out": (change_predictions(lambda p: p.drop(columns="patient")), "no column patient"),
    "field left out": (lambda f: (f / "metrics.json").write_text(json.dumps(
        {k: v for k, v in read(f / "metrics.json").items() if k != "pages_digest"})), "no field pages_digest"),
    "predictions deleted": (lambda f: (f / "predictions.parquet").unlink(), "predictions.parquet: no such file"),
    "predictions torn": (lambda f: (f / "predictions.parquet").write_bytes(b"PAR1"), "predictions.parquet: cannot be"),
    "metrics torn": (lambda f: (f / "metrics.json").write_text("{"), "metrics.json: not valid JSON"),
    "thresholds deleted": (lambda f: (f / "thresholds.json").unlink(), "thresholds.json: no such file"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_is_refused_for_the_model_and_for_the_champion(judge, name, evaluations, evaluation, tmp_path):
    spoil, said = TRICKS[name]
    spoil(evaluation)
    with pytest.raises(ValueError, match=said):
        judge(evaluation, Rule(AUROC, limit=0.0))
    with pytest.raises(ValueError, match=said):
        judge(list(evaluations)[1], Rule(AUROC, limit=0.0), champion=evaluation)
    assert not (tmp_path / "decision").exists()
