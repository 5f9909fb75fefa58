"""The evaluate step on real pages with a network that never learned: what it writes, and what it refuses."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from components.evaluate.charts import Series, line_chart, nice_ticks, whisker
from components.evaluate.step import run
from ecg.pages import PageSet
from model.baselines import Baseline
from model.checkpoint import checkpoint_digest, folder_digest, load_checkpoint, save_checkpoint
from model.data import millivolts
from model.inference import predict_pages
from model.network import PageReader
from model.params import EvaluateParams
from tests.components.conftest import edit_json, write_random_checkpoint

PARAMS = EvaluateParams(resamples=50, batch_size=7)


@pytest.fixture(scope="module")
def checkpoint(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "checkpoint"
    write_random_checkpoint(folder, store, seed=11)
    return folder


@pytest.fixture(scope="module")
def evaluated(checkpoint, pages):
    """The evaluation folder and the result."""
    folder = checkpoint.parent / "evaluation"
    return folder, run(checkpoint=checkpoint, pages=pages, evaluation=folder, params=PARAMS, seed=1)


def read(path):
    return json.loads(path.read_text())


def test_predictions_are_those_of_the_image_alone(evaluated, checkpoint, pages):
    folder, _ = evaluated
    predictions, page_set = pd.read_parquet(folder / "predictions.parquet"), PageSet.open(pages)
    net, _ = load_checkpoint(checkpoint)
    expected = predict_pages(PageReader(net), page_set.array("clean"), batch_size=100)
    np.testing.assert_allclose(predictions[[f"p:{n}" for n in page_set.label_names]], expected, atol=1e-6)
    for column in ("record", "patient", "split"):
        assert predictions[column].tolist() == page_set.index[column].tolist()
    assert set(predictions["capture"]) == {"clean"}


def test_metrics_have_the_agreed_layout_and_scikit_learns_values(evaluated, checkpoint, pages):
    folder, result = evaluated
    metrics, predictions, page_set = (read(folder / "metrics.json"), pd.read_parquet(folder / "predictions.parquet"),
                                      PageSet.open(pages))
    block = metrics["test"]["clean"]
    test = predictions[predictions["split"] == "test"]
    assert block["records"] == result.records == len(test)
    measured = [n for n in page_set.label_names if n not in block["undefined"]]
    assert measured
    for key, function in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        values = [function(test[f"label:{n}"], test[f"p:{n}"]) for n in measured]
        assert [block["classes"][n][key]["value"] for n in measured] == pytest.approx(values)
        assert block["macro"][key]["value"] == pytest.approx(np.mean(values))
        assert getattr(result, key) == block["macro"][key]["value"]
    assert set(block["macro"]["auroc"]) == {"value", "low", "high"}
    assert metrics["checkpoint_digest"] == checkpoint_digest(checkpoint)
    assert (metrics["pages_digest"], metrics["data_digest"]) == (page_set.digest, page_set.data_digest)
    thresholds = read(folder / "thresholds.json")
    assert thresholds == {n: block["classes"][n]["threshold"] for n in page_set.label_names}


def test_curves_are_flat_lists_of_few_points(evaluated):
    folder, _ = evaluated
    for kind, keys in (("roc", {"fpr", "tpr"}), ("pr", {"recall", "precision"}),
                       ("reliability", {"probability", "observed", "records"}),
                       ("calibrated", {"probability", "observed", "records"})):
        points = pd.DataFrame(read(folder / "curves" / f"{kind}.json"))
        assert set(points) == keys | {"label", "capture"}
        assert points.groupby("label").size().max() <= 200


class Outside(HTMLParser):
    """Collects what an HTML page would fetch or run, and checks that its tags close."""

    def __init__(self):
        super().__init__()
        self.fetched, self.tags, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href") and not v.startswith("data:image/png;base64,")]
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_page_that_needs_nothing_else(evaluated, checkpoint, pages):
    folder, result = evaluated
    text = (folder / "report.html").read_text()
    page = Outside()
    page.feed(text)
    assert not page.fetched and not page.open and not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in text and "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert 2 <= page.tags.count("img") <= 16
    _, meta = load_checkpoint(checkpoint)
    for shown in (f"{result.auroc:.3f}", meta["data_digest"], meta["git_commit"], checkpoint_digest(checkpoint),
                  *meta["label_names"]):
        assert shown in text
    assert re.search(r'<path class="line s1" d="M[\d. L]+"', text)
    assert "None" not in text and "nan" not in re.sub(r"base64,[^\"]+", "", text)
    assert len(text) < 8e6


def test_the_model_card_says_what_it_must(evaluated, pages):
    folder, result = evaluated
    text = (folder / "model_card.md").read_text()
    for heading in ("Intended use", "Limits", "Data", "Performance", "Calibration", "Abstention and refusal",
                    "Subgroups", "Licence"):
        assert f"\n## {heading}" in text
    assert "Not for diagnosis without a physician" in text and f"| **macro** | {result.auroc:.3f} (" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.count("|") for line in tables}
    assert "None" not in text and widths == {7, 9}


def test_the_same_inputs_give_the_same_bytes(evaluated, checkpoint, pages, tmp_path):
    folder, _ = evaluated
    run(checkpoint=checkpoint, pages=pages, evaluation=tmp_path / "again", params=PARAMS, seed=1)
    for file in ("metrics.json", "thresholds.json", "subgroups.json", "predictions.parquet", "report.html",
                 "model_card.md", "curves/roc.json"):
        assert (tmp_path / "again" / file).read_bytes() == (folder / file).read_bytes(), file


def test_the_predictions_and_the_test_for_an_ecg_page_are_on_record(evaluated):
    folder, _ = evaluated
    metrics, predictions = read(folder / "metrics.json"), pd.read_parquet(folder / "predictions.parquet")
    assert metrics["predictions_digest"] == folder_digest(folder, ("predictions.parquet",))
    assert {"quality", "signal_quality", "device"} <= set(predictions)
    test = predictions[predictions["split"] == "test"]
    least = metrics["refusal"]["test"]["least"]
    assert metrics["refusal"]["refused"] == {"clean": (test["quality"] < least).mean()}


def test_kubeflows_roc_and_confusion_are_those_of_the_predictions(evaluated):
    folder, _ = evaluated
    shown, predictions = read(folder / "classification.json"), pd.read_parquet(folder / "predictions.parquet")
    test, thresholds = predictions[predictions["split"] == "test"], read(folder / "thresholds.json")
    truth = test[[f"label:{n}" for n in thresholds]].to_numpy(bool)
    scores = test[[f"p:{n}" for n in thresholds]].to_numpy()
    (_, false_positive), (_, hit) = shown["confusion"]["matrix"]
    called = scores >= np.array(list(thresholds.values()))
    assert (hit, false_positive) == ((called & truth).sum(), (called & ~truth).sum())
    assert sum(map(sum, shown["confusion"]["matrix"])) == truth.size
    fpr, tpr, levels = (np.array(shown["roc"][name]) for name in ("fpr", "tpr", "threshold"))
    assert (np.diff(levels) < 0).all() and len(fpr) == len(levels) <= 200
    for place in (1, len(levels) // 2):
        assert tpr[place] == pytest.approx((scores >= levels[place] - 1e-6)[truth].mean(), abs=0.02)
    assert np.trapezoid(tpr, fpr) == pytest.approx(roc_auc_score(truth.ravel(), scores.ravel()), abs=0.01)


def test_another_evaluation_of_the_same_pages_is_compared_and_of_others_refused(evaluated, checkpoint, pages, store,
                                                                             tmp_path):
    write_random_checkpoint(tmp_path / "other", store, seed=12)
    run(checkpoint=tmp_path / "other", pages=pages, evaluation=tmp_path / "out", params=PARAMS, seed=1,
        against={"champion": evaluated[0]})
    compared = read(tmp_path / "out" / "comparisons.json")["champion"]
    assert compared["checkpoint_digest"] == checkpoint_digest(checkpoint)
    ours, theirs = (read(folder / "metrics.json")["test"]["clean"]["macro"]["auroc"]["value"]
                    for folder in (tmp_path / "out", evaluated[0]))
    auroc = compared["captures"]["clean"]["macro"]["auroc"]
    assert auroc["value"] == pytest.approx(ours - theirs) and 0 < auroc["p"] <= 1
    assert "champion, clean" in (tmp_path / "out" / "report.html").read_text()
    shutil.copytree(evaluated[0], tmp_path / "stale")
    edit_json(tmp_path / "stale" / "metrics.json", pages_digest="0")
    # Told before anything is read, which takes minutes with real pages: the readings named here are not there.
    with pytest.raises(ValueError, match="pages_digest is not that of these pages"):
        run(checkpoint=tmp_path / "other", pages=pages, readings=(tmp_path / "none",), evaluation=tmp_path / "no",
            params=PARAMS, seed=1, against={"champion": tmp_path / "stale"})


def test_records_of_another_store_are_measured_with_a_warning(checkpoint, pages, tmp_path):
    shutil.copytree(pages, tmp_path / "pages")
    edit_json(tmp_path / "pages" / "pages.json", data_digest="0" * 64)
    run(checkpoint=checkpoint, pages=tmp_path / "pages", evaluation=tmp_path / "out", params=PARAMS, seed=1)
    for file in ("report.html", "model_card.md"):
        assert "another record store" in (tmp_path / "out" / file).read_text()


def other_label(folder):
    meta = read(folder / "pages.json")
    edit_json(folder / "pages.json", label_names=[*meta["label_names"][:-1], "SOMETHING"])


def other_order(folder):
    edit_json(folder / "pages.json", label_names=read(folder / "pages.json")["label_names"][::-1])


def other_page(folder):
    edit_json(folder / "pages.json", page={**read(folder / "pages.json")["page"], "px_per_mm": 1.0})


def without(split):
    def spoil(folder):
        index = pd.read_parquet(folder / "index.parquet")
        index.loc[index["split"] == split, "split"] = "train"
        index.to_parquet(folder / "index.parquet", index=False)
    return spoil


def fewer_pages(folder):
    np.save(folder / "clean.npy", np.load(folder / "clean.npy")[:-1])


def torn_pages(folder):
    data = (folder / "clean.npy").read_bytes()
    (folder / "clean.npy").write_bytes(data[:len(data) // 2])


@pytest.mark.parametrize("spoil, said", [
    (other_label, "label_names are .*SOMETHING"), (other_order, "label_names are"),
    (other_page, "page.px_per_mm is 1.0, the checkpoint's is 0.75"),
    (without("test"), "no page of the test split"), (without("validate"), "no page of the validate split"),
    (fewer_pages, "clean.npy: uint8"), (torn_pages, "clean.npy: cannot be read"),
    (lambda folder: (folder / "clean.npy").unlink(), "clean.npy: cannot be read"),
    (lambda folder: (folder / "pages.json").unlink(), "not a pages folder"),
    (lambda folder: (folder / "pages.json").write_text("{"), "not valid JSON"),
    (lambda folder: edit_json(folder / "pages.json", schema=99), "schema is 99")])
def test_unfit_pages_are_refused_and_nothing_is_written(spoil, said, checkpoint, pages, tmp_path):
    shutil.copytree(pages, tmp_path / "pages")
    spoil(tmp_path / "pages")
    with pytest.raises(ValueError, match=said):
        run(checkpoint=checkpoint, pages=tmp_path / "pages", evaluation=tmp_path / "out", params=PARAMS, seed=1)
    assert {path.name for path in tmp_path.iterdir()} == {"pages"}


def test_ticks_enclose_their_range():
    assert nice_ticks(0.13, 0.97) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert nice_ticks(1, 20) == (0, 5, 10, 15, 20)
    assert nice_ticks(-0.0004, 0.0004)[0] <= -0.0004


def test_charts_leave_out_what_is_not_finite():
    points = np.array([[1, 2.0], [2, np.nan], [3, 1.0]])
    chart = line_chart([Series("loss", points)], x_label="", y_label="", title="<x>")
    assert "nan" not in chart and chart.count("L") == 1 and "&lt;x&gt;" in chart
    assert line_chart([Series("loss", np.array([[1, np.nan]]))], x_label="", y_label="", title="") == ""
    assert whisker(None, None, None) == "" and 'cx="60.0"' in whisker(0.75, 0.6, 0.9)


def test_a_baseline_that_reads_signals_is_measured_on_the_records_of_the_pages(checkpoint, pages, store, store_path,
                                                                             tmp_path):
    net = Baseline("resnet1d_wang", classes=len(store.label_names))
    meta = {**read(checkpoint / "model.json"), "model": {"architecture": "resnet1d_wang"}}
    folder = tmp_path / "baseline"
    folder.mkdir()
    save_checkpoint(folder, net, meta=meta, history=read(checkpoint / "history.json"))
    with pytest.raises(ValueError, match="the checkpoint reads signal; give its record store"):
        run(checkpoint=folder, pages=pages, evaluation=tmp_path / "none", params=PARAMS, seed=1)
    silent = shutil.copytree(store_path, tmp_path / "silent")
    pd.read_parquet(silent / "records.parquet").assign(flags="no_signal").to_parquet(silent / "records.parquet")
    with pytest.raises(ValueError, match="records have no signal; the checkpoint reads signal"):
        run(checkpoint=folder, pages=pages, evaluation=tmp_path / "none", params=PARAMS, seed=1, records=silent)
    run(checkpoint=folder, pages=pages, evaluation=tmp_path / "out", params=PARAMS, seed=1, records=store_path)
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    place = list(store.table["record"]).index(predictions["record"].iloc[3])
    with torch.inference_mode():
        signal = torch.from_numpy(millivolts(store.signals[place][None]))
        expected = torch.sigmoid(net.eval().signal(signal))[0].numpy()
    np.testing.assert_allclose(predictions[[f"p:{n}" for n in store.label_names]].iloc[3], expected, atol=1e-5)
