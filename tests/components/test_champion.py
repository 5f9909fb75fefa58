"""The gate on Kubeflow asks a real registry for the champion, and has it read the pages where they are new."""

import json
from pathlib import Path

import pandas as pd
import pytest
from kfp import dsl

from components.evaluate.step import run as evaluate
from components.gate.champion import champion_evaluation, measured_on
from components.gate.component import gate
from components.moves import crown
from components.register.step import run as register
from components.render.step import run as render
from components.tracking import connect
from ecg.pages import PageSet
from model.claims import read_evaluation
from model.package import evaluation_digest
from model.params import EvaluateParams, GateParams, RegisterParams, RenderParams, Rule, TrackingParams
from model.typed import as_dict
from tests.components.conftest import PAGE, edit_json

NAME = "reader"
RULES = {"rules": [{"metric": "test.clean.macro.auroc", "limit": 0.0}], "champion_margin": 1.0}


@pytest.fixture(scope="module")
def tracking(packaged, tmp_path_factory) -> TrackingParams:
    """A registry whose champion is `packaged`."""
    root = tmp_path_factory.mktemp("champion")
    own = TrackingParams(uri=f"sqlite:///{root}/mlflow.db")
    made = register(package=packaged.package, evaluation=packaged.evaluation, decision=packaged.decision,
                    registration=root / "registration", params=RegisterParams(name=NAME),
                    gate=GateParams(rules=(Rule(limit=0.0),)), tracking=own, seed=1)
    crown(connect(own).MlflowClient(), NAME, made.version, why="test")
    return own


@pytest.fixture(scope="module")
def other_pages(store, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "pages"
    params = RenderParams(samples=1, contact_sheet=1, captures=("clean", "scan"))
    render(records=store.path, pages=folder, params=params, page=PAGE, seed=2)
    return folder


def judge(folders, tracking, tmp_path, *, params=RULES, name=NAME, **changed) -> tuple[bool, dict]:
    """Call the task as Kubeflow does; returns its answer and the decision."""
    given = {"evaluation": folders.evaluation, "checkpoint": folders.checkpoint, "pages": folders.pages, **changed}
    kinds = {"checkpoint": dsl.Model, "pages": dsl.Dataset}
    passed = gate.python_func(**{role: kinds.get(role, dsl.Artifact)(uri=str(path)) for role, path in given.items()},
                              params=params, register={"name": name}, tracking=as_dict(tracking), seed=1,
                              decision=dsl.Artifact(uri=str(tmp_path / "decision")))
    return passed, json.loads((tmp_path / "decision" / "decision.json").read_text())


def test_without_a_champion_the_rules_alone_decide(another, tracking, tmp_path):
    passed, decision = judge(another, tracking, tmp_path, name="nobody")
    assert passed and decision["champion_digest"] is None and len(decision["rules"]) == 1


def test_the_champion_on_the_same_pages_is_as_registered(packaged, another, tracking, tmp_path):
    passed, decision = judge(another, tracking, tmp_path)
    assert passed and decision["champion_digest"] == evaluation_digest(packaged.evaluation)
    assert "the champion's less" in decision["rules"][1]["reason"]


def test_a_model_below_the_champion_is_refused(another, packaged, tracking, tmp_path):
    values = [json.loads((folders.evaluation / "metrics.json").read_text())["test"]["clean"]["macro"]["auroc"]["value"]
              for folders in (another, packaged)]
    for more, right in ((1e-6, True), (-1e-6, False)):
        passed, decision = judge(another, tracking, tmp_path, params={
            **RULES, "champion_margin": values[1] - values[0] + more})
        assert passed is decision["passed"] is right


def test_on_other_pages_the_champion_reads_them(packaged, another, other_pages, tracking, tmp_path):
    """By its package, and to the figures that its checkpoint gives there."""
    params = EvaluateParams(resamples=20)
    for folders, name in ((another, "judged"), (packaged, "right")):
        evaluate(checkpoint=folders.checkpoint, pages=other_pages, evaluation=tmp_path / name, params=params, seed=1)
    rules = {**RULES, "rules": [*RULES["rules"], {"metric": "test.scan.macro.auroc", "limit": -1.0,
                                                  "comparison": "champion"}]}
    passed, decision = judge(another, tracking, tmp_path, params=rules, pages=other_pages,
                             evaluation=tmp_path / "judged")
    assert passed
    metrics = json.loads((tmp_path / "right" / "metrics.json").read_text())
    assert decision["champion_checkpoint"] == metrics["checkpoint_digest"]
    limits = {rule["metric"]: rule["limit"] for rule in decision["rules"][2:]}
    for capture in ("clean", "scan"):
        value = metrics["test"][capture]["macro"]["auroc"]["value"]
        assert limits[f"test.{capture}.macro.auroc"] == pytest.approx(value - 1.0, abs=1e-3)
    assert decision["rules"][1]["value"] is not None
    own = measured_on(PageSet.open(other_pages), packaged.package, tmp_path / "own", who="it", params=params, seed=1)
    assert read_evaluation(own)["pages_digest"] == metrics["pages_digest"]
    ours, theirs = (pd.read_parquet(folder / "predictions.parquet").filter(like="p:")
                    for folder in (own, tmp_path / "right"))
    assert (ours - theirs).abs().to_numpy().max() < 1e-4


@pytest.mark.parametrize("field, value", [("label_names", ["A", "B"]), ("page", {"height": 64})])
def test_a_champion_of_other_findings_or_pages_cannot_be_compared(packaged, tmp_path, field, value):
    pages = PageSet.open(packaged.pages)
    changed = PageSet(**{**vars(pages), field: tuple(value) if field == "label_names" else value})
    with pytest.raises(ValueError, match=f"pages.json: {field} is .* but the champion, reader version 1, reads "):
        measured_on(changed, packaged.package, tmp_path / "own", who="reader version 1", params=EvaluateParams(),
                    seed=1)
    assert not (tmp_path / "own").exists()


def test_an_evaluation_changed_in_the_registry_is_not_compared_with(packaged, tracking, tmp_path):
    """The artifact store of a sqlite registry is a folder of this machine."""
    root = Path(tracking.uri.removeprefix("sqlite:///")).parent
    (kept,) = root.glob("mlruns/*/artifacts/evaluation/metrics.json")
    before = kept.read_text()
    edit_json(kept, seed=99)
    try:
        with pytest.raises(ValueError, match="reader version 1: the evaluation in its run is not the one"):
            champion_evaluation(pages=packaged.pages, scratch=tmp_path, name=NAME, tracking=tracking)
    finally:
        kept.write_text(before)
