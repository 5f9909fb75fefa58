"""A recipe is laid over the demo recipe, and the comments stay."""

from pathlib import Path

import pytest

from components.recipe import compose, run
from model.params import load_params

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def test_the_demo_recipe_comes_out_as_it_is(tmp_path):
    run(name="demo", out=tmp_path / "params.yaml")
    assert (tmp_path / "params.yaml").read_text() == (RECIPES / "demo.yaml").read_text()


def test_ptbxl_is_laid_over_it(tmp_path):
    result = run(name="ptbxl", out=tmp_path / "params.yaml", data=tmp_path)
    params, demo = load_params(tmp_path / "params.yaml"), load_params(RECIPES / "demo.yaml")
    assert (result.source, result.data) == ("ptbxl", str(tmp_path))
    assert params.ingest.data == str(tmp_path)
    assert (params.ingest.train_folds, params.ingest.validate_folds, params.ingest.test_folds) == (
        (1, 2, 3, 4, 5, 6, 7), (8,), (9,))
    assert params.evaluate == demo.evaluate
    assert "# Hz in the store" in (tmp_path / "params.yaml").read_text()


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_recipe_is_one_that_the_pipeline_takes(tmp_path, name):
    params = compose(name, tmp_path / "params.yaml")
    assert params == load_params(tmp_path / "params.yaml")
    assert params.ingest.source == ("simulated" if name == "demo" else "ptbxl")


def test_a_folder_inside_the_project_stays_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ptb").mkdir()
    assert run(name="ptbxl", out=Path("params.yaml"), data=tmp_path / "ptb").data == "ptb"


def test_a_bad_recipe_leaves_params_yaml_alone(tmp_path):
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "demo.yaml").write_text((RECIPES / "demo.yaml").read_text())
    (recipes / "odd.yaml").write_text(f"ingest: {{data: {tmp_path}, sampling: 3}}\n")
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(ValueError, match="^recipe odd: ingest.sampling: unknown key"):
        run(name="odd", out=tmp_path / "params.yaml", recipes=recipes)
    assert (tmp_path / "params.yaml").read_text() == "seed: 1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "recipes"]
