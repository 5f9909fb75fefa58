"""One pipeline, told three times: the registry, dvc.yaml and the Kubeflow DAG agree, and so do their results."""

import ast
import hashlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from components.cli import build_parser, main
from components.registry import HELPERS, STEPS
from model.params import IngestParams, PageParams, Params, RenderParams
from model.typed import as_dict

ROOT = Path(__file__).resolve().parents[1]
IN_DVC = [name for name, step in STEPS.items() if not step.outside]
COLLECTED = "pipelinechannel--"
NOT_A_KNOB = {"tracking"}
"""Where runs are recorded does not change what comes out: no reason for DVC to train again."""


@pytest.fixture(scope="module")
def stages():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def spec():
    return next(yaml.safe_load_all((ROOT / "pipelines" / "training.yaml").read_text()))


def kubeflow_edges(spec: dict, dag: dict, given: dict | None = None) -> dict[str, dict[str, tuple[str, str]]]:
    """For each task, where its artifacts come from: {task: {input: (producing task, its output)}}."""
    edges = {}
    for name, task in dag["tasks"].items():
        sources = {key: _source(source, given or {}) for key, source in
                   task.get("inputs", {}).get("artifacts", {}).items()}
        component = spec["components"][task["componentRef"]["name"]]
        edges |= kubeflow_edges(spec, component["dag"], sources) if "dag" in component else {name: sources}
    return edges


def _source(source: dict, given: dict) -> tuple[str, str]:
    """Where an artifact comes from; what a loop collects comes from the task in it: pipelinechannel--TASK-OUTPUT."""
    if "componentInputArtifact" in source:
        return given[source["componentInputArtifact"]]
    output = source["taskOutputArtifact"]
    if output["outputArtifactKey"].startswith(COLLECTED):
        return tuple(output["outputArtifactKey"].removeprefix(COLLECTED).rsplit("-", 1))
    return output["producerTask"], output["outputArtifactKey"]


def test_the_dag_has_the_edges_of_the_registry(spec):
    """The helpers of the DAG stand between steps: they hand on what ingest and train wrote, and what evaluate reads."""
    edges = kubeflow_edges(spec, spec["root"]["dag"])
    helpers = {name: edges.pop(name) for name in HELPERS}
    assert helpers == {"notify": {}, "merge-shards": {"parts": ("ingest", "records")},
                       "choose": {"checkpoints": ("train", "checkpoint")},
                       "read-capture": {"checkpoint": ("choose", "checkpoint"), "pages": ("render", "pages")},
                       "notify-refused": {"decision": ("gate", "decision")}}
    assert edges["evaluate"].pop("readings") == ("read-capture", "readings")
    edges = {name: {key: (HELPERS.get(task, task), output)
                    for key, (task, output) in sources.items()} for name, sources in edges.items()}
    assert edges == {name: {key: (producer, STEPS[producer].output) for key, producer in step.inputs.items()}
                     for name, step in STEPS.items()}


def test_the_dag_hands_each_step_its_sections(spec):
    for name, step in STEPS.items():
        parameters = spec["components"][f"comp-{name}"]["inputDefinitions"]["parameters"]
        assert {"params", *step.sections[1:], "seed", *step.external} <= parameters.keys()


def test_dvc_has_the_edges_of_the_registry(stages):
    assert list(stages) == IN_DVC
    for name, stage in stages.items():
        step = STEPS[name]
        from_others = {dep for dep in stage["deps"] if dep.startswith("artifacts/")}
        assert all(from_others & set(STEPS[producer].tracked) for producer in step.inputs.values())
        assert from_others <= {path for producer in step.inputs.values() for path in STEPS[producer].tracked}
        sources = {dep for dep in stage["deps"] if dep.startswith("$")}
        assert sources == {f"${{{key}}}" for key in step.external.values()}
        assert stage["outs"] == step.tracked


def test_dvc_runs_a_step_again_when_its_knobs_or_its_code_change(stages):
    for name, stage in stages.items():
        assert set(stage["params"]) == {"seed", *STEPS[name].sections} - NOT_A_KNOB
        assert f"components/{name}" in stage["deps"]
        assert all((ROOT / dep).exists() for dep in stage["deps"] if not dep.startswith(("artifacts/", "$")))


def test_dvc_knows_all_the_code_that_a_step_imports(stages):
    """But for what all share: how values are read, which are tracked themselves, and what stands around the steps."""
    shared = re.compile(r"model/(params\w*|typed)\.py|components/.*")
    for name, stage in stages.items():
        covered = [ROOT / dep for dep in stage["deps"] if not dep.startswith(("artifacts/", "$"))]
        lacking = [path for path in imported(ROOT / "components" / name / "step.py")
                   if not any(path.is_relative_to(dep) for dep in covered)]
        named = (str(path.relative_to(ROOT)) for path in lacking)
        assert not [path for path in named if not shared.fullmatch(path)], name


def imported(start: Path) -> set[Path]:
    """Every module of ours that one imports, and those that these import, wherever in them the import stands."""
    found, left = set(), [start]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text())):
            names = ([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                     if isinstance(node, ast.ImportFrom) and node.module else
                     [alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
            for path in (ROOT / f"{name.replace('.', '/')}.py" for name in names):
                if path.is_file() and path not in found:
                    found.add(path)
                    left.append(path)
    return found


def test_dvc_calls_the_verbs_with_their_default_folders(stages):
    for name, stage in stages.items():
        program, *line = shlex.split(stage["cmd"], comments=True)
        arguments = build_parser().parse_args(line)
        step = STEPS[name]
        assert program == "vizecg" and line[0] == name
        assert getattr(arguments, step.output) == Path(step.folder)
        assert {key: getattr(arguments, key) for key in step.inputs} == {
            key: Path(STEPS[producer].folder) for key, producer in step.inputs.items()}


def digests(folder: Path) -> dict[str, str]:
    """The content of every file below a folder."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def on_kubeflow(component, tmp_path, **arguments):
    """Run one component with kfp's local runner and return its artifacts."""
    from kfp import local

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "kubeflow"))
    return component(**arguments).outputs


@pytest.fixture
def by_cli(tmp_path):
    """Calls the command line with the defaults of every section."""
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(as_dict(Params())))

    def call(*line) -> None:
        assert main([*map(str, line), "--params", str(file)]) == 0

    return call


def test_ingest_writes_the_same_bytes_three_ways(archive, store_path, by_cli, tmp_path):
    from components.ingest.component import ingest

    by_cli("ingest", "--data", archive, "--out", tmp_path / "cli", "--seed", 1)
    artifacts = on_kubeflow(ingest, tmp_path, data=str(archive), seed=1, data_digest="", commit="",
                            params=as_dict(IngestParams(data=str(archive))))
    assert digests(tmp_path / "cli") == digests(store_path)
    assert digests(artifacts["records"].path) == digests(store_path)
    assert artifacts["records"].metadata["records"] == 60


def test_render_writes_the_same_bytes_three_ways(store_path, by_cli, tmp_path):
    from kfp import dsl

    from components.render.component import render
    from components.render.step import run

    run(records=store_path, pages=tmp_path / "function", params=RenderParams(samples=1), page=PageParams(), seed=7)
    by_cli("render", "--records", store_path, "--out", tmp_path / "cli", "--set", "render.samples=1")
    store = dsl.Dataset(name="records", uri=str(store_path))
    pages = tmp_path / "component"
    render.python_func(records=store, params={"samples": 1.0}, page={}, seed=7, pages=dsl.Dataset(uri=str(pages)))
    assert digests(tmp_path / "function") == digests(tmp_path / "cli") == digests(pages)
