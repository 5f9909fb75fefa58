"""The gate under attack: ways to sneak a bad model through, each refused with a reason that names the file."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.deploy.trust import check_version
from components.gate.step import run as gate
from components.moves import crown, held_by, version_of
from components.package.step import run as package
from components.promote import run as promote
from components.register.step import run as register
from components.rollback import in_registry
from components.tracking import connect
from components.versions import fetch_package
from ecg.pages import PageSet, digest_of
from model.evaluation import measure, thresholds_of
from model.override import Override
from model.package import description_digest, package_digest
from model.params import EvaluateParams, GateParams, PackageParams, RegisterParams, Rule, TrackingParams
from model.reading import PROGRAMS, file_digest
from model.typed import from_dict
from tests.components.conftest import edit_json

LENIENT, STRICT = GateParams(rules=(Rule(limit=0.0),)), GateParams(rules=(Rule(limit=0.999),))
AUROC = "test.clean.macro.auroc"
NAME = "reader"


@pytest.fixture
def bad(refused, tmp_path):
    """A copy, to be spoiled, of a model that its gate refused."""
    for name in ("checkpoint", "pages", "evaluation", "decision", "package"):
        shutil.copytree(getattr(refused, name), tmp_path / name)
    return replace(refused, **{name: tmp_path / name for name in refused.__dataclass_fields__})


def read(path: Path):
    return json.loads(path.read_text())


def measured_again(evaluation: Path, change) -> None:
    """Change the predictions, and write figures and thresholds that go with them."""
    predictions = change(pd.read_parquet(evaluation / "predictions.parquet"))
    metrics = read(evaluation / "metrics.json")
    known = {"label_names": tuple(metrics["label_names"]), "params": from_dict(EvaluateParams, metrics["params"])}
    predictions.to_parquet(evaluation / "predictions.parquet", index=False)
    edit_json(evaluation / "metrics.json", **measure(predictions, **known, seed=metrics["seed"]))
    (evaluation / "thresholds.json").write_text(json.dumps(thresholds_of(predictions, **known)))


def answers_given(predictions):
    """Perfect predictions."""
    for column in [c for c in predictions if c.startswith("p:")]:
        predictions[column] = predictions["label" + column[1:]].astype("float32")
    return predictions


def labels_to_suit(predictions):
    """Findings where the model sees them."""
    for column in [c for c in predictions if c.startswith("p:")]:
        predictions["label" + column[1:]] = (predictions[column] > predictions[column].median()).astype("uint8")
    return predictions


def figure_edited(f):
    metrics = read(f.evaluation / "metrics.json")
    metrics["test"]["clean"]["macro"]["auroc"]["value"] = 0.9991
    (f.evaluation / "metrics.json").write_text(json.dumps(metrics))


def pages_redrawn(f):
    """Other ink on the pages, after they were evaluated."""
    array = np.load(f.pages / "clean.npy")
    np.save(f.pages / "clean.npy", 255 - array)


def pages_redrawn_with_their_digest(f):


    pages_redrawn(f)
    pages = PageSet.open(f.pages)
    hashes = [hashlib.sha256(np.ascontiguousarray(pages.array(c))).hexdigest() for c in pages.captures]
    edit_json(f.pages / "pages.json", digest=digest_of(hashes, pages.index, pages.captures, pages.page))


def other_data(f):
    for path in (f.pages / "pages.json", f.evaluation / "metrics.json"):
        edit_json(path, data_digest="0" * 64)


def swapped_checkpoint(f, another):
    shutil.rmtree(f.checkpoint)
    shutil.copytree(another.checkpoint, f.checkpoint)


AT_THE_GATE = {
    "a figure edited": (figure_edited, "evaluation/metrics.json: test.clean.macro.auroc.value is 0.9991"),
    "predictions and figures forged together": (
        lambda f: measured_again(f.evaluation, answers_given),
        "evaluation/predictions.parquet: p:.* of record .*, but checkpoint and page give"),
    "hard pages left out and measured again": (
        lambda f: measured_again(f.evaluation, lambda p: p[p.index % 3 != 0]),
        "evaluation/predictions.parquet: its records, splits or labels"),
    "labels edited to suit the model": (
        lambda f: measured_again(f.evaluation, labels_to_suit),
        "evaluation/predictions.parquet: its records, splits or labels"),
    "stale pages": (pages_redrawn, "pages: the pages or their index are not those that pages.json describes"),
    "evaluation of other pages": (pages_redrawn_with_their_digest, "evaluation/metrics.json: pages_digest is not"),
    "pages of other data": (other_data, "pages/pages.json: data_digest is not that of the store"),
}


@pytest.mark.parametrize("name", AT_THE_GATE)
def test_an_attack_on_the_gate(name, bad, tmp_path):
    spoil, said = AT_THE_GATE[name]
    spoil(bad)
    with pytest.raises(ValueError, match=said):
        gate(evaluation=bad.evaluation, checkpoint=bad.checkpoint, pages=bad.pages, decision=tmp_path / "new",
             params=STRICT, seed=1)
    assert not (tmp_path / "new").exists()


def test_a_swapped_checkpoint(bad, another, tmp_path):
    swapped_checkpoint(bad, another)
    with pytest.raises(ValueError, match="evaluation/metrics.json: is about another checkpoint"):
        gate(evaluation=bad.evaluation, checkpoint=bad.checkpoint, pages=bad.pages, decision=tmp_path / "new",
             params=STRICT, seed=1)
    with pytest.raises(ValueError, match="evaluation/metrics.json: is about another checkpoint"):
        package(**bad.inputs, package=tmp_path / "new", params=PackageParams(), seed=1)


def decision_edited(f, **changes):
    """Turn every verdict of the decision to passed."""
    decided = read(f.decision / "decision.json")
    rules = [{**rule, "passed": True, **changes} for rule in decided["rules"]]
    edit_json(f.decision / "decision.json", passed=True, rules=rules)


def described_anew(f, **changes):
    """Edit the package's model.json, and bring its version and its archive up to date."""
    meta = {**read(f.package / "model.json"), **changes}
    meta["version"] = description_digest(meta)
    (f.package / "model.json").write_text(json.dumps(meta))
    mar = next(f.package.glob("*.mar"))
    with zipfile.ZipFile(mar) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(mar, "w") as new:
        for name, data in contents.items():
            new.writestr(name, (f.package / "model.json").read_bytes() if name == "model.json" else data)


def decided_again_leniently(f):
    """The whole chain made again with rules that every model satisfies."""
    gate(evaluation=f.evaluation, checkpoint=f.checkpoint, pages=f.pages, decision=f.decision, params=LENIENT, seed=1)
    edited = read(f.package / "model.json")
    described_anew(f, gate={"passed": True}, made_with={**edited["made_with"], "gate": {}},
                   decision_digest=file_digest(f.decision / "decision.json"))


def linked(f):
    (f.package / "model.pt2").rename(f.package.parent / "elsewhere.pt2")
    (f.package / "model.pt2").symlink_to(f.package.parent / "elsewhere.pt2")


def thresholds_edited(f):
    changed = {name: 0.0 for name in read(f.package / "model.json")["thresholds"]}
    described_anew(f, thresholds=changed)


AT_REGISTRATION = {
    "a decision edited to pass": (decision_edited, r"decision/decision.json: rules\[0\].passed .* is True, but the"),
    "a decision edited to pass, with the value": (
        lambda f: decision_edited(f, value=0.9999), r"decision/decision.json: rules\[0\].value .* is 0.9999, but"),
    "a limit lowered in the decision": (
        lambda f: decision_edited(f, limit=0.0), "decision/decision.json: is not the decision with which"),
    "only the answer edited": (
        lambda f: edit_json(f.decision / "decision.json", passed=True), "decision.json: passed is True, which"),
    "rules struck out": (
        lambda f: edit_json(f.decision / "decision.json", passed=True, rules=[]), "decision.json: passed is True"),
    "a decision from other parameters": (
        decided_again_leniently, r"decision/decision.json: rules\[0\] is .* gate.rules of the parameters declares"),
    "thresholds edited after packaging": (
        thresholds_edited, "package/model.json: thresholds are not those of"),
    "model.json edited": (
        lambda f: edit_json(f.package / "model.json", gate={"passed": True}),
        "package/model.json: was changed after it was written"),
    "model.json edited, its version and archive brought up to date": (
        lambda f: described_anew(f, gate={"passed": True}), "package/model.json: gate.passed is True, which"),
    "a link in the package": (linked, "package/model.pt2: is a link"),
    "a name that leads out of the package": (
        lambda f: described_anew(f, name="../another/vizecgnet"), "package/model.json: name is '../another"),
    "figures edited after the decision": (figure_edited, "metrics.json: test.clean.macro.auroc.value is 0.9991"),
    "evaluation forged after the decision": (
        lambda f: measured_again(f.evaluation, answers_given), "decision.json: is about another evaluation"),
}


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    return TrackingParams(uri=f"sqlite:///{tmp_path_factory.mktemp('attacked')}/mlflow.db")


def try_to_register(f, tracking, out, *, params=STRICT, **changes):
    given = {"package": f.package, "evaluation": f.evaluation, "decision": f.decision, **changes}
    return register(**given, registration=out, params=RegisterParams(name=NAME), gate=params, tracking=tracking, seed=1)


@pytest.mark.parametrize("name", AT_REGISTRATION)
def test_an_attack_on_the_registry(name, bad, tracking, tmp_path):
    spoil, said = AT_REGISTRATION[name]
    spoil(bad)
    with pytest.raises(ValueError, match=said):
        try_to_register(bad, tracking, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_papers_of_a_good_model_do_not_help_a_bad_one(bad, packaged, tracking, tmp_path):
    """A replayed decision, a replayed evaluation, and a package of another checkpoint."""
    for changes, said in (({"decision": packaged.decision}, "decision.json: is about another checkpoint"),
                          ({"evaluation": packaged.evaluation}, "metrics.json: is about another checkpoint"),
                          ({"package": packaged.package}, "metrics.json: is about another checkpoint")):
        with pytest.raises(ValueError, match=said):
            try_to_register(bad, tracking, tmp_path / "new", **changes)


def test_a_swapped_archive(bad, packaged, tracking, tmp_path):
    shutil.copyfile(next(packaged.package.glob("*.mar")), next(bad.package.glob("*.mar")))
    with pytest.raises(ValueError, match="vizecgnet.mar: its model.pt2 is not the one beside it"):
        try_to_register(bad, tracking, tmp_path / "new")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_swapped_program(bad, packaged, tracking, tmp_path, program):
    shutil.copyfile(packaged.package / program, bad.package / program)
    with pytest.raises(ValueError, match=f"package/{program}: not the program that model.json describes"):
        try_to_register(bad, tracking, tmp_path / "new")


def test_a_model_that_failed_needs_somebody_who_answers_for_it(refused, tracking, tmp_path):
    with pytest.raises(ValueError, match="the gate refused this model .*--override-by NAME"):
        try_to_register(refused, tracking, tmp_path / "new")
    override = Override("Dr. Gray", "the only model for 6x2 pages; reviewed on 40 of them")
    result = try_to_register(refused, tracking, tmp_path / "new", override=override)
    mlflow = connect(tracking)
    version = version_of(mlflow.MlflowClient(), NAME, result.version)
    assert (version.tags["gate"], version.tags["override_by"]) == ("overridden", "Dr. Gray")
    stated = read(tmp_path / "new" / "decision.json")
    assert stated["override"]["override_reason"] == override.reason and stated["passed"] is False
    # What was recorded lets it go on; what was not recorded does not.
    fetched = fetch_package(mlflow, version, tmp_path / "fetched")
    check_version(mlflow, version, fetched, tmp_path / "papers")
    assert promote(wanted=result.version, name=NAME, tracking=tracking).version == result.version
    version.tags["override_by"] = "Somebody else"
    with pytest.raises(ValueError, match="decision.json: the gate refused this model .* no override is recorded"):
        check_version(mlflow, version, fetched, tmp_path / "again")
    # The local decision is left as it was.
    assert "override" not in read(refused.decision / "decision.json")


def test_a_version_made_by_hand_is_not_promoted(refused, packaged, tracking, tmp_path):
    """Its tags say what those of a good version say; its run and its package do not."""
    good = try_to_register(packaged, tracking, tmp_path / "new", params=LENIENT)
    mlflow = connect(tracking)
    client = mlflow.MlflowClient()
    tags = version_of(client, NAME, good.version).tags
    with mlflow.start_run():
        (tmp_path / "smuggled").mkdir()
        mlflow.log_artifacts(str(refused.package), "model/artifacts/package")
        made = client.create_model_version(NAME, mlflow.get_artifact_uri("model"), tags=tags,
                                           run_id=mlflow.active_run().info.run_id)
    with pytest.raises(ValueError, match="not the package registered as reader version"):
        promote(wanted=str(made.version), name=NAME, tracking=tracking)
    client.set_model_version_tag(NAME, made.version, "package_digest",
                                 package_digest(refused.package))
    with pytest.raises(ValueError, match="the gate refused this model"):
        promote(wanted=str(made.version), name=NAME, tracking=tracking)


def test_a_decision_without_the_champion_is_refused_where_a_rule_compares_with_it(
        packaged, another, pages, tracking, tmp_path):
    """The champion is left out, or a weaker model is put in its place."""
    params = GateParams(rules=(Rule(limit=0.0), Rule(bound="high", limit=-1.0, comparison="champion")),
                        champion_margin=1.0)
    own = replace(tracking, uri=tracking.uri.replace("mlflow.db", "champion.db"))
    first = try_to_register(packaged, own, tmp_path / "first", params=LENIENT)
    crown(connect(own).MlflowClient(), NAME, first.version, why="test")
    made = {}
    for name, champion in (("without", None), ("itself", another.evaluation), ("champion", packaged.evaluation)):
        root = tmp_path / name
        gate(evaluation=another.evaluation, checkpoint=another.checkpoint, pages=pages, decision=root / "decision",
             params=params, seed=1, champion=champion)
        made[name] = replace(another, decision=root / "decision", package=root / "package")
        shutil.copytree(another.package, root / "package")
        described_anew(made[name], decision_digest=file_digest(root / "decision" / "decision.json"))
    for name in ("without", "itself"):
        with pytest.raises(ValueError, match="decision.json: champion_digest is not that of the champion, reader"):
            try_to_register(made[name], own, tmp_path / "new", params=params)
    assert try_to_register(made["champion"], own, tmp_path / "new", params=params).version == "2"

    client = connect(own).MlflowClient()
    assert crown(client, NAME, "2", why="test") == "1"
    back = in_registry(name=NAME, tracking=own)
    assert (back.version, back.previous_version) == ("1", "2") and held_by(client, NAME, "champion") == "1"
