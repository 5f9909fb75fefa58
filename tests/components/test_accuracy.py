"""The accuracy table: rows are trained once, kept in MLflow, carried in a file, and printed from there."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import yaml

from benchmarks.accuracy import ROWS, main
from benchmarks.accuracy_table import gains, tables
from benchmarks.recorded import KEPT, NEUTRAL, Run, export, found, read, record, recorded, same, settings, take
from components.recipe import compose
from ecg.pages import PageSet
from model.params import ModelParams, Params, TrackingParams, TrainParams
from model.typed import as_dict
from tests.model.tiny import TINY

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["train.epochs=1", "train.batch_size=8", "evaluate.resamples=20", "page.height=96", "page.width=192",
         "page.px_per_mm=0.75", *(f"model.{name}={json.dumps(value)}" for name, value in as_dict(TINY).items()
                                  if value != as_dict(ModelParams())[name])]


@pytest.fixture
def command(tmp_path, store, pages, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    validation = tmp_path / "validation"
    validation.mkdir()
    (validation / "validation.json").write_text(json.dumps(
        {"success": True, "critical_failed": [], "warnings": [], "expectations": [], "data_digest": store.digest}))
    words = ["--records", str(store.path), "--validation", str(validation), "--pages", str(pages)]
    for setting in (*SMALL, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"):
        words += ["--set", setting]
    return words


@pytest.mark.slow
def test_rows_are_trained_once_and_printed_from_mlflow(command, capsys, monkeypatch):
    rows = ["--rows", "image alone", "resnet1d_wang"]
    main([*command, *rows, "--seeds", "1", "2"])
    first = capsys.readouterr().out
    lines = [line.split(" | ") for line in first.splitlines() if line.startswith("| ")]
    assert [line[0].removeprefix("| ") for line in lines] == ["model", "image alone", "resnet1d_wang"]
    assert [line[1] for line in lines[1:]] == ["page", "signal"] and all(line[-2] == "2" for line in lines[1:])
    main([*command, *rows, "--seeds", "1", "2", "--print"])
    said = capsys.readouterr()
    assert said.out == first and "is recorded" not in said.err
    with monkeypatch.context() as patched:
        patched.setattr("benchmarks.accuracy.measure", lambda *_: pytest.fail("measured again"))
        main([*command, *rows, "--seeds", "1", "2"])
        said = capsys.readouterr()
        assert said.out == first and said.err.count("recorded already") == 4
    main([*command, "--seeds", "1", "--print"])
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(first.splitlines())
    count = len(yaml.safe_load(ROWS.read_text()))
    assert f"of {count - 2} of {count} rows and seeds no run" in said.err

    # Elsewhere, where neither records nor pages nor checkpoints are: from a file of the runs.
    main([*command, "--export", "runs.jsonl"])
    elsewhere = [word for setting in SMALL for word in ("--set", setting)] + ["--set", "tracking.uri=sqlite:///other.db"]
    main([*elsewhere, "--import", "runs.jsonl"])
    assert "4 runs of runs.jsonl recorded" in capsys.readouterr().err
    main([*elsewhere, *rows, "--seeds", "1", "2", "--print"])
    assert capsys.readouterr().out == first


@pytest.mark.slow
def test_a_row_trains_the_teacher_it_lacks_and_kept_checkpoints_are_only_read_again(command, capsys):
    rows = ["--rows", "taught", "--seeds", "1"]
    main([*command, *rows])
    assert "| taught | page |" in capsys.readouterr().out
    main([*command, *rows, "--set", "evaluate.resamples=30", "--set", "train.checkpoint_every=2"])  # decides nothing
    said = capsys.readouterr()
    assert "resnet1d_wang: kept in local/accuracy/resnet1d_wang-1" in said.out + said.err
    assert "taught: kept in local/accuracy/taught-1" in said.out + said.err
    main([*command, "--rows", "resnet1d_wang", "--seeds", "1", "--set", "train.weight_decay=0.02"])
    said = capsys.readouterr()
    assert "local/accuracy/resnet1d_wang-1 was trained otherwise; trained again" in said.out + said.err
    main([*command, *rows, "--set", "evaluate.resamples=40"])  # its teacher's folder now holds another
    said = capsys.readouterr()
    assert "local/accuracy/taught-1 was trained otherwise; trained again" in said.out + said.err
    main([*command, "--rows", "taught", "--seeds", "2", "1"])  # now taught by the teacher of seed 2
    said = capsys.readouterr()
    assert "local/accuracy/taught-1 was trained otherwise; trained again" in said.out + said.err
    main([*command, "--rows", "resnet1d_wang", "--seeds", "1"])
    said = capsys.readouterr()
    assert "resnet1d_wang, seed 1: recorded already" not in said.out + said.err
    assert "resnet1d_wang: kept in" in said.out + said.err and "| resnet1d_wang | signal |" in said.out


@pytest.mark.slow
def test_a_row_for_a_choice_reads_no_page_of_the_test_split(command, capsys):
    main([*command, "--rows", "VizECGNet, SMAM after the last stage", "--seeds", "1"])
    cells = _cells(capsys.readouterr().out, "VizECGNet, SMAM after the last stage")
    assert 0 <= float(cells[3]) <= 1 and set(cells[4:-2]) == {"–"}
    kept = Path("local/accuracy/vizecgnet-smam-after-the-last-stage-1")
    assert "cores of" in (kept / "model.json").read_text()

    # The same network in a row that is no choice: its figure on the validation split does not stand for the test split.
    kept.rename(kept.with_name("vizecgnet-1"))
    main([*command, "--rows", "VizECGNet", "--seeds", "1", "--set", "model.smam_place=tokens"])
    said = capsys.readouterr()
    assert "VizECGNet: kept in local/accuracy/vizecgnet-1" in said.out + said.err
    assert all(0 <= float(cell) <= 1 for cell in _cells(said.out, "VizECGNet")[4:-2])


def _cells(said: str, row: str) -> list[str]:
    line, = [line for line in said.splitlines() if line.startswith(f"| {row} |")]
    return line.strip("| ").split(" | ")


@pytest.mark.slow
def test_a_row_begins_with_another_rows_weights(command, capsys):
    rows = ["--rows", "pretraining by masks", "image alone, pretrained by masks", "--seeds", "1"]
    main([*command, *rows])
    begun = json.loads(Path("local/accuracy/image-alone-pretrained-by-masks-1/model.json").read_text())["train"]
    assert begun["start_from"] == "local/accuracy/pretraining-by-masks-1"
    capsys.readouterr()
    main([*command, *rows, "--set", "evaluate.resamples=30"])
    said = capsys.readouterr()
    assert "image alone, pretrained by masks: kept in" in said.out + said.err


def test_a_recipe_gives_the_settings_wherever_its_data_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compose("ptbxl-fast", tmp_path / "params.yaml").page.width == 256


def test_an_unknown_row_is_named(command):
    with pytest.raises(ValueError, match="--rows: no row is called 'lstm'; there are 'resnet1d_wang', "):
        main([*command, "--rows", "lstm"])
    with pytest.raises(ValueError, match="train.teachers or train.start_from: no row is called 'local/x'"):
        main([*command, "--rows", "VizECGNet", "--set", "train.teachers=[local/x]"])
    with pytest.raises(ValueError, match="the row 'resnet1d_wang' would build on itself"):
        main([*command, "--rows", "VizECGNet", "--set", "train.teachers=[resnet1d_wang]"])


def test_a_recipe_that_begins_with_a_checkpoint_compares_rows_that_do_not(tmp_path, capsys):
    at = ["--recipe", "ptbxl-robust", "--set", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    main([*at, "--print"])
    assert "--import brings those" in capsys.readouterr().err
    main([*at, "--import"])
    main([*at, "--print"])
    assert f"there are {len(read(KEPT))} others, trained with another --recipe" in capsys.readouterr().err


def test_every_row_changes_the_parameters_into_ones_that_exist(command, tmp_path):
    from benchmarks.accuracy import planned

    rows = planned([], [1], "params.yaml", ["train.epochs=6"])
    assert [row.name for row in rows] == list(yaml.safe_load(ROWS.read_text()))
    assert len({(row.params.model, row.params.train) for row in rows}) == len(rows)


def test_rows_share_their_epochs_though_a_recipe_pretrains(tmp_path):
    from benchmarks.accuracy import planned

    recipe = compose("ptbxl-fast", tmp_path / "params.yaml")
    rows = planned([], [1], tmp_path / "params.yaml", [])
    assert recipe.train.pretrain and not any(row.params.train.pretrain for row in rows)


PAGE = {"layout": "3x4+1R", "width": 256, "height": 128}
CAPTURES = ("clean", "clean@3x4+2R")
MACRO = {"auroc": {"value": 0.9}, "f1": {"value": 0.7}}


def _run(*, at: int = 1, pages: str = "a" * 64, records: str = "d" * 64, auroc: float = 0.9, seed: int = 7,
         test: bool = True, params: dict | None = None) -> Run:
    figures = {"parameters": 1000, "validate_auroc": auroc, "seconds": 60.0, "epochs": 1, "device": "cpu",
               "hardware": "2 cores", "trained_on": 10, "test": dict.fromkeys(CAPTURES, MACRO) if test else {}}
    return Run("a row", "page", seed, params or settings(Params()),
               {"digest": pages, "data_digest": records, "label_names": ["NORM"], "captures": list(CAPTURES),
                "page": PAGE, "records": {"validate": 5, "test": 5},
                "folds": {"train": [1, 2], "validate": [8], "test": [9]}},
               figures, {"git_commit": "0123456789", "data_digest": records, "train_run": "r",
                         "checkpoint_digest": "c" * 64}, at)


def test_what_one_side_lacks_counts_as_the_value_at_which_it_changes_nothing():
    now = settings(Params())
    earlier = {key: value for key, value in now.items() if key != "train.ask_teachers"}
    assert same(now, now) and not same(now, {**now, "train.epochs": "3"})
    assert not same(earlier, now) and not same(now, earlier), "nobody has said what it did without"
    neutral = {"train.ask_teachers": "once"}
    assert same(earlier, now, neutral) and same(now, earlier, neutral)
    assert not same(earlier, {**now, "train.ask_teachers": "each"}, neutral)
    assert not same({**now, "train.ask_teachers": "each"}, earlier, neutral)


def test_what_decides_no_figure_parts_no_runs():
    params = Params()
    assert settings(params) == settings(dataclasses.replace(params, train=TrainParams(workers=2, save_steps=5)))
    assert settings(params) != settings(dataclasses.replace(params, train=TrainParams(epochs=3)))
    assert same({**settings(params), "train.workers": "2"}, settings(params)), "recorded while workers still counted"


def test_every_parameter_that_came_or_went_since_says_at_what_value_it_changes_nothing():
    for run in read(KEPT):
        lacking = run.params.keys() ^ settings(Params()).keys()
        unsaid = sorted(lacking - NEUTRAL.keys())
        assert not unsaid, f"benchmarks/recorded.py: NEUTRAL must have {unsaid}, or the recorded runs are lost"


@pytest.mark.slow
def test_the_table_of_the_readme_is_what_the_recorded_runs_print(tmp_path, capsys):
    at = ["--recipe", "ptbxl-fast", "--set", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    main([*at, "--import"])
    capsys.readouterr()
    main([*at, "--set", "train.epochs=6", "--seeds", "7", "8", "9", "--print"])
    printed = capsys.readouterr().out.strip()
    assert len(printed.splitlines()) > 10 and printed in (ROOT / "README.md").read_text()


@pytest.fixture
def places(tmp_path):
    def place(name: str) -> TrackingParams:
        (tmp_path / name).mkdir()
        return TrackingParams(uri=f"sqlite:///{tmp_path}/{name}/mlflow.db")

    return place("here"), place("there")


def test_runs_travel_in_a_file_and_keep_their_date_and_commit(tmp_path, places):
    here, there = places
    runs = [_run(at=1_000), _run(at=2_000, auroc=0.8)]
    for run in runs:
        record(here, run)
    file = tmp_path / "runs.jsonl"
    assert export(here, file) == 2 and export(here, file) == 0
    assert read(file) == runs
    file.write_text(file.read_text() * 2)  # as a merge of two branches may leave it
    assert take(there, file) == 2 and take(there, file) == 0
    assert found(recorded(there), runs[0].identity) == runs[::-1], "newest first"
    assert found(recorded(there), {**runs[0].identity, "seed": "8"}) == []
    assert found(recorded(there), {**runs[0].identity, "others_seed": "7"}) == []
    entity = recorded(there)[0]
    assert (entity.info.start_time, entity.data.tags["git_commit"]) == (2_000, "0123456789")
    assert entity.data.metrics == {"validate_auroc": 0.8, "test.clean.macro.auroc": 0.9, "test.clean.macro.f1": 0.7,
                                   "test.clean/3x4-2R.macro.auroc": 0.9, "test.clean/3x4-2R.macro.f1": 0.7}


def test_a_run_of_other_records_or_pages_is_not_taken_for_this_one(places):
    here, _ = places
    record(here, _run())
    fields = {field.name: None for field in dataclasses.fields(PageSet)}
    for digest, data_digest, count in (("a", "d", 1), ("b", "d", 0), ("a", "e", 0)):
        pages = PageSet(**{**fields, "digest": digest * 64, "data_digest": data_digest * 64})
        assert len(found(recorded(here), _run().identity, pages=pages)) == count


def test_a_run_whose_file_is_lost_is_named(places):
    here, _ = places
    record(here, _run())
    entity, = recorded(here)
    shutil.rmtree(entity.info.artifact_uri.removeprefix("file://"))
    with pytest.raises(ValueError, match=f"is lost, .*; delete the run {entity.info.run_id}"):
        found(recorded(here), _run().identity)


@pytest.mark.parametrize(("content", "said"), [
    ("[]", "the whole is not as"), ("[1]", "is lost, or not what"), ("nonsense", "is lost, or not what"),
    ('{"schema": 2}', "is not as in a recorded run")])
def test_a_run_whose_file_is_none_of_ours_is_named(places, content, said):
    here, _ = places
    record(here, _run())
    entity, = recorded(here)
    Path(entity.info.artifact_uri.removeprefix("file://"), "accuracy.json").write_text(content)
    with pytest.raises(ValueError, match=f"accuracy.json: .*{said}.*; delete the run {entity.info.run_id}"):
        found(recorded(here), _run().identity)


GOOD = json.dumps(dataclasses.asdict(_run()))


@pytest.mark.parametrize(("text", "said"), [
    (None, "cannot be read"), (b"\xff\n", "cannot be read"), ("nonsense\n", "line 1 is no JSON"),
    (f"{GOOD}\n[1]\n", "line 2: the whole is not"), (f"{GOOD}\n{{}}\n", "line 2: the whole is not"),
    (GOOD.replace('"train.epochs": "20"', '"train.epochs": 20'), "line 1: params.train.epochs is not"),
    (GOOD.replace('"git_commit"', '"commit"'), "line 1: made is not"),
    (GOOD.replace('"trained_on": 10', '"trained_on": "ten"'), "line 1: figures.trained_on is not"),
    (GOOD.replace('"schema": 1', '"schema": 2'), "line 1: schema is not")])
def test_a_file_of_no_runs_is_refused_by_its_field_and_none_is_recorded(tmp_path, places, text, said):
    file = tmp_path / "runs.jsonl"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=f"runs.jsonl: {said}.*--export"):
        take(places[0], file)
    assert not recorded(places[0])


def test_each_set_of_records_and_pages_has_a_table_and_the_newest_run_counts():
    said = tables([("a row", [_run(at=4, auroc=0.7), _run(at=3, pages="b" * 64), _run(at=2, records="e" * 64), _run()]),
                   ("a row", [_run(at=3, auroc=0.8, seed=8, test=False)]), ("another", [])])
    first, second, third = said.split("\n\n1 findings")
    assert "| a row | page | 0.00 M | 0.750 (0.700-0.800) | – | – | – | – | 2 |" in first
    for other in (second, third):
        assert "| a row | page | 0.00 M | 0.900 | 0.900 | 0.700 | 0.900 | 0.700 | 1 |" in other
    assert "(folds 1-2 / 8 / 9)" in first and "trained by commit 0123456" in first and "another" not in said
    assert tables([("a row", [])]) == ""


def test_gains_are_between_means_on_the_same_pages_and_ranges_are_of_several_seeds():
    def read(auroc, **about):
        run, figures = _run(**about), {"auroc": {"value": auroc}, "f1": {"value": 0.5}}
        return dataclasses.replace(run, figures={**run.figures, "test": dict.fromkeys(CAPTURES, figures)})

    old = [("old", [read(0.7, at=4), read(0.1)]), ("old", [read(0.8, seed=8)])]
    elsewhere, one, another = read(0.1, at=9, pages="b" * 64), read(0.9, at=5), read(0.96, seed=8)
    said = gains([*old, ("new", [elsewhere, one]), ("chosen", [_run(test=False)])], "old").splitlines()
    assert said == [f"new, {capture}, over old: auroc +0.1500, f1 +0.0000; 1 and 2 seeds" for capture in CAPTURES]
    said, *_ = gains([*old, ("new", [one]), ("new", [another])], "old").splitlines()
    assert said.endswith("over old: auroc +0.1800 (ranges apart), f1 +0.0000; 2 and 2 seeds")
    assert gains([("new", [one]), ("chosen", [_run(test=False)])], "chosen") == gains([("new", [])], "new") == ""


def test_rows_that_others_build_on_have_the_first_seed():
    from benchmarks.accuracy import planned

    rows = planned(["image alone, pretrained by masks, KD 10", "resnet1d_wang"], [7, 8], ROOT / "params.yaml", [])
    assert [[(other.name, other.seed) for other in row.others] for row in rows] == [
        [("resnet1d_wang", 7), ("pretraining by masks", 7)]] * 2 + [[]] * 2
    assert [row.identity.get("others_seed") for row in rows] == ["7", "7", None, None]


def test_a_row_is_another_when_the_line_of_one_that_it_builds_on_changes(tmp_path, monkeypatch):
    from benchmarks import accuracy

    lines = yaml.safe_load(accuracy.ROWS.read_text())
    before = accuracy.planned(["taught", "image alone"], [7], ROOT / "params.yaml", [])
    lines["resnet1d_wang"]["change"]["train.epochs"] = 1
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump(lines))
    monkeypatch.setattr(accuracy, "ROWS", tmp_path / "rows.yaml")
    after = accuracy.planned(["taught", "image alone"], [7], ROOT / "params.yaml", [])
    assert before[0].identity != after[0].identity and before[1].identity == after[1].identity
