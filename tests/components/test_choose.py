"""The best of a sweep: by validation AUROC, whole, and never among trainings on different records."""

import json

import pytest

from components.choose.step import run, table
from components.train.trial import of_trial
from model.params import ModelParams, TrainParams


def trained(folder, score, digest="d"):
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"validate_auroc": score, "data_digest": digest}))
    (folder / "model.pt").write_bytes(str(score).encode())
    return folder


def test_the_best_is_copied_whole(tmp_path):
    folders = tuple(trained(tmp_path / str(n), score) for n, score in enumerate((0.7, 0.9, 0.9, 0.8)))
    result = run(checkpoints=folders, checkpoint=tmp_path / "best")
    assert result.chosen == 1 and result.scores == (0.7, 0.9, 0.9, 0.8), "of equals the first"
    assert {p.name: p.read_bytes() for p in (tmp_path / "best").glob("model.*")} == {
        p.name: p.read_bytes() for p in folders[1].iterdir()}
    rows = table(result, [{"seed": n} for n in range(4)]).splitlines()
    assert rows[3].endswith("| **0.9000** |") and rows[2].endswith("| 0.7000 |")


@pytest.mark.parametrize("score", [None, float("nan"), "0.9"])
def test_a_training_without_a_score_is_not_compared(score, tmp_path):
    with pytest.raises(ValueError, match="validate_auroc is .* cannot be compared"):
        run(checkpoints=(trained(tmp_path / "a", score),), checkpoint=tmp_path / "best")
    assert not (tmp_path / "best").exists()


def test_trainings_on_different_records_are_not_compared(tmp_path):
    folders = (trained(tmp_path / "a", 0.8), trained(tmp_path / "b", 0.9, digest="other"))
    with pytest.raises(ValueError, match="different records"):
        run(checkpoints=folders, checkpoint=tmp_path / "best")


def test_no_trials_are_said(tmp_path):
    with pytest.raises(ValueError, match="trials: none"):
        run(checkpoints=(), checkpoint=tmp_path / "best")


def test_a_trial_is_laid_over_the_parameters_as_kubeflow_hands_them_over():
    training, network, seed = of_trial({"seed": 8.0, "train": {"epochs": 3.0}}, params={"epochs": 9.0, "mixup": 0.5},
                                       model={"heads": 2.0}, seed=7)
    assert (training, network, seed) == (TrainParams(epochs=3, mixup=0.5), ModelParams(heads=2), 8)
    assert of_trial({"train": {}}, params={}, model={}, seed=7) == (TrainParams(), ModelParams(), 7)


@pytest.mark.parametrize(("trial", "message"), [({"sed": 8}, "unknown key 'sed'"),
                                                ({"train": {"epoch": 3}}, "epoch")])
def test_a_misspelt_trial_is_refused(trial, message):
    with pytest.raises(ValueError, match=message):
        of_trial(trial, params={}, model={}, seed=7)
