"""The command line: light, teaching, and one clear line for each mistake."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.cli import VERBS, main
from components.registry import STEPS
from model.params import Params, load_params

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "kfp", "mlflow", "great_expectations", "pandas", "numba")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty folder with params.yaml, as the working folder."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_help_shows_every_verb_with_an_example_and_loads_nothing_heavy():
    code = f"""if True:
        import sys
        from components.cli import main
        try:
            main(["--help"])
        except SystemExit:
            print([name for name in {HEAVY} if name in sys.modules])
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("[]\n")
    for verb in VERBS:
        assert f"  {verb.name} " in out and verb.example in out


@pytest.mark.parametrize("name", [verb.name for verb in VERBS])
def test_help_of_each_verb(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert "example:\n  vizecg " in capsys.readouterr().out


MISTAKES = [
    ("ingest --data nowhere", "nowhere"),
    ("ingest --source floppy", "ingest.source: must be one of simulated"),
    ("ingest --params none.yaml", "none.yaml: no such file"),
    ("ingest --set ingest.limit=few", "params.yaml: ingest.limit: must be int, not 'few'"),
    ("ingest --set ingest.limt=3", "ingest.limt: unknown key"),
    ("ingest --set limit", "--set limit: write section.key=value"),
    ("validate --records nowhere", "nowhere"),
    ("render --records nowhere", "nowhere"),
    ("train --records nowhere", "nowhere"),
    ("train --set train.epochs=0", "train.epochs: must be at least 1"),
    ("evaluate --checkpoint nowhere", "nowhere"),
    ("gate --checkpoint nowhere", "nowhere"),
    ("fetch nowhere --out x", "'nowhere' names no bucket; write s3://BUCKET/PREFIX"),
    ("merge nowhere --out x", "nowhere: not a record store"),
    ("data diff nowhere elsewhere", "nowhere: not a record store"),
    ("promote 1", "version 1"),
    ("reproduce 1", "version 1"),
    ("package --checkpoint nowhere", "nowhere"),
    ("register --package nowhere", "nowhere"),
    ("deploy --registration nowhere", "nowhere"),
    ("predict scans/*.png", "scans/*.png: no file matches"),
    ("predict page.png --package nowhere", "nowhere"),
    ("predict page.png --endpoint http://127.0.0.1:9", "artifacts/torchserve/key_file.json"),
    ("web --package nowhere", "nowhere"),
    ("rollback", "artifacts/deploy/deployment.json: no such file"),
    ("pseudonym record 000123", "the salt has 0 characters; set VIZECG_ID_SALT in the environment"),
    ("models", "vizecgnet: no version in the registry sqlite:///mlflow.db"),
    ("register --override-by me", "give both, who lets the model through and why"),
    ("monitor nowhere.jsonl", "nowhere.jsonl: no such file"),
    ("simulate --records 0", "records: 0 is not a positive number"),
    ("recipe ptb", "no recipe is called 'ptb'; there are demo, ptbxl"),
    ("recipe ptbxl --data nowhere", "nowhere: no such folder"),
    ("recipe ptbxl", "no such folder; give --data"),
    ("summary", "artifacts/evaluate/metrics.json: no such file"),
    ("bench nothing", "no benchmark is called 'nothing'"),
    ("bench recorded", "no benchmark is called 'recorded'"),
    ("pipeline run", "ingest.data: data/simulated is no folder"),
    ("pipeline submit --host http://127.0.0.1:9 --set tracking.uri=http://127.0.0.1:9 --input gpus=[1",
     "--input: 'gpus=[1' begins like JSON and is none"),
    ("pipeline run --set ingest.data=. --set tracking.uri=http://me:secret@127.0.0.1:9",
     "tracking.uri: http://127.0.0.1:9 is given with a user and a password"),
    ("models --name a'b", "--name: \"a'b\" is no model's name"),
    ("ingest --set register.name=a/b", "register.name: 'a/b' is no model's name"),
    ("predict page.png --endpoint http://127.0.0.1:9 --token €", "--token: holds a line break or a letter"),
    ("pipeline submit --host http://127.0.0.1:9", "tracking.uri: sqlite:///mlflow.db is a file of one machine"),
    ("pipeline submit --host http://127.0.0.1:9 --set tracking.uri=http://127.0.0.1:9",
     "components/images.lock: data has no reference of the form"),
    ("page nothing -o out", "nothing: no such record"),
    ("locate nothing.png --layout 9x9", "unknown layout '9x9'"),
    ("gallery -o .", "not written by"),
    ("shadow --package nowhere", "nowhere"),
    ("export --package nowhere", "nowhere"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_ends_in_one_line_and_status_2(line, message, project, capsys):
    assert main(line.split()) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("vizecg: error: ") and message in said[0]
    assert not (project / "artifacts").exists() or not list((project / "artifacts").iterdir())


def test_every_verb_has_a_mistake_that_is_tested():
    assert {line.split()[0] for line, _ in MISTAKES} == {verb.name for verb in VERBS}


def test_an_unknown_verb_or_option_ends_in_status_2(capsys):
    for line in (["trian"], ["train", "--epoch", "3"], ["pipeline"]):
        with pytest.raises(SystemExit) as end:
            main(line)
        assert end.value.code == 2


def test_an_interrupt_ends_in_status_130(project, monkeypatch, capsys):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("components.simulate.run", interrupted)
    assert main(["simulate"]) == 130
    assert capsys.readouterr().err == "vizecg: interrupted\n"


def test_a_fault_of_ours_is_shown_in_full(project, monkeypatch):
    def broken(**_):
        return 1 / 0

    monkeypatch.setattr("components.simulate.run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["simulate"])


def test_what_was_added_to_an_error_is_said_with_it(project, monkeypatch, capsys):
    def failing(**_):
        error = ValueError("the first thing")
        error.add_note("Nor the second.")
        raise error

    monkeypatch.setattr("components.models.run", failing)
    assert main(["models"]) == 2
    assert capsys.readouterr().err == "vizecg: error: the first thing Nor the second.\n"


def test_traceback_shows_where_a_mistake_was_noticed(project):
    with pytest.raises(ValueError, match="nowhere"):
        main(["--traceback", "train", "--records", "nowhere"])


def test_ingest_takes_its_shortcuts_and_says_what_came_in(project, archive, capsys):
    assert main(["ingest", "--source", "wfdb_folder", "--data", str(archive), "--out", "store",
                 "--set", "ingest.limit=20"]) == 0
    assert (project / "store" / "store.json").exists()
    assert capsys.readouterr().out.startswith("ingest: records=20, ")


def test_the_environment_has_the_last_word_on_tracking(project, archive, monkeypatch):
    from components.cli_verb import params_of

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")

    class Arguments:
        params, overrides, seed = "params.yaml", ["tracking.uri=sqlite:///other.db"], 11

    params = params_of(Arguments)
    assert (params.tracking.uri, params.seed) == ("http://mlflow:5000", 11)


def test_default_folders_are_those_of_the_registry():
    for step in STEPS.values():
        assert step.folder == f"artifacts/{step.name}"


def test_params_yaml_is_the_demo_recipe_and_the_pipeline_takes_it():
    assert (ROOT / "params.yaml").read_text() == (ROOT / "recipes" / "demo.yaml").read_text()
    assert load_params(ROOT / "params.yaml").ingest.source == "simulated"


def test_params_yaml_holds_every_knob():
    from dataclasses import fields

    import yaml

    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section in fields(Params):
        if section.name != "seed":
            names = {field.name for field in fields(getattr(Params(), section.name))}
            assert raw[section.name].keys() == names
