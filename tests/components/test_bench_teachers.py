"""The benchmark of teachers reads validation records alone and finds the mean that reads best."""

import dataclasses
import re

import numpy as np
import pytest

from benchmarks.teachers import best_means, main
from components.train.step import run
from tests.components.test_train import PARAMS, inputs  # noqa: F401  the same fixture


def test_of_each_number_of_models_the_best_mean_is_named():
    truth = np.array([[1], [1], [0], [0]], bool)
    right, wrong = np.array([[0.9], [0.8], [0.2], [0.1]]), np.array([[0.1], [0.2], [0.8], [0.9]])
    lost = np.array([[0.9], [0.1], [0.2], [0.1]])
    found = best_means(np.stack([wrong, right, lost]), truth)
    assert found[:3] == [((0,), 0.0), ((1,), 1.0), ((2,), 0.625)]
    assert found[3] == ((1, 2), 1.0) and found[4][0] == (0, 1, 2)


def test_teachers_of_either_kind_have_their_rows(inputs, tmp_path, capsys):  # noqa: F811
    signal = dataclasses.replace(inputs["model"], architecture="vit1d")
    run(checkpoint=tmp_path / "signal", params=PARAMS, **{**inputs, "model": signal})
    run(checkpoint=tmp_path / "page", params=PARAMS, **inputs)
    main([str(tmp_path / "signal"), str(tmp_path / "page"), "--records", str(inputs["records"])])
    rows = re.findall(r"^\| ([a-z+ ]+) \| (0\.\d{4}|nan) \|$", capsys.readouterr().out, re.MULTILINE)
    assert [name for name, _ in rows] == ["signal", "page", "signal + page"]
    with pytest.raises(ValueError, match="none/model.json"):
        main([str(tmp_path / "none"), "--records", str(inputs["records"])])
