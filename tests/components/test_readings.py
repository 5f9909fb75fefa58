"""One capture a machine, put together: the same figures as one machine alone, and no reading of something else."""

import json

import pandas as pd
import pytest

from components.evaluate.readings import gathered, one_capture
from components.evaluate.step import read, run
from ecg.pages import PageSet
from model.params import EvaluateParams

PARAMS = EvaluateParams(resamples=20)


def test_what_was_read_elsewhere_gives_the_same_bytes(packaged, tmp_path):
    read(checkpoint=packaged.checkpoint, pages=packaged.pages, readings=tmp_path / "clean", capture="clean",
         params=PARAMS)
    run(checkpoint=packaged.checkpoint, pages=packaged.pages, evaluation=tmp_path / "evaluation", params=PARAMS, seed=1,
        readings=(tmp_path / "clean",))
    for name in ("metrics.json", "thresholds.json", "predictions.parquet"):
        assert (tmp_path / "evaluation" / name).read_bytes() == (packaged.evaluation / name).read_bytes()


def test_the_components_come_to_the_same(packaged, tmp_path):
    from kfp import dsl

    from components.evaluate.component import evaluate
    from components.evaluate.read_component import read_capture

    made = {name: getattr(dsl, output.type.removeprefix("system.").split("@")[0])(uri=str(tmp_path / name))
            for name, output in evaluate.component_spec.outputs.items()}
    readings = dsl.Dataset(uri=str(tmp_path / "readings"))
    given = {"checkpoint": dsl.Model(uri=str(packaged.checkpoint)), "pages": dsl.Dataset(uri=str(packaged.pages)),
             "params": {"resamples": 20.0}}
    read_capture.python_func(**given, capture="clean", readings=readings)
    evaluate.python_func(**given, readings=[readings], seed=1, **made)
    wanted = (packaged.evaluation / "metrics.json").read_text()
    assert (tmp_path / "evaluation" / "metrics.json").read_text() == wanted
    figures = json.loads(wanted)["test"]["clean"]["macro"]
    assert made["metrics"].metadata["clean.auroc"] == figures["auroc"]["value"]
    assert (tmp_path / "card").read_text() == (packaged.evaluation / "model_card.md").read_text()
    assert (tmp_path / "report").read_text().startswith("<!")


@pytest.fixture
def parts(packaged, tmp_path):
    """A page set of two captures, and a folder of readings for each."""
    from dataclasses import replace

    pages = replace(PageSet.open(packaged.pages), captures=("clean", "scan"))
    folders = []
    for number, capture in enumerate(pages.captures):
        folders.append(tmp_path / capture)
        folders[-1].mkdir()
        pd.DataFrame({"capture": [capture], "n": [number]}).to_parquet(folders[-1] / "predictions.parquet")
        origin = {"checkpoint_digest": "c", "pages_digest": pages.digest, "capture": capture}
        (folders[-1] / "readings.json").write_text(json.dumps(origin))
    return pages, folders


def test_the_order_is_that_of_the_pages_whoever_came_first(parts):
    pages, folders = parts
    assert list(gathered(tuple(reversed(folders)), checkpoint="c", pages=pages)["capture"]) == ["clean", "scan"]


def test_a_reading_of_something_else_is_refused(parts):
    pages, (clean, scan) = parts
    for folders, checkpoint, message in (((clean, scan), "other", "not read by this checkpoint"),
                                         ((clean,), "c", "'scan' was drawn and not read"),
                                         ((clean, clean, scan), "c", "'clean' is there twice")):
        with pytest.raises(ValueError, match=message):
            gathered(folders, checkpoint=checkpoint, pages=pages)
    with pytest.raises(ValueError, match="has no 'fax'; it has clean, scan"):
        one_capture(pages, "fax")
