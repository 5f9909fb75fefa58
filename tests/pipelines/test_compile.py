"""The compiled pipeline: the same bytes anywhere, and what a cluster needs to know in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.images import PLACEHOLDERS, image, released, with_references
from components.registry import HELPERS, STEPS
from model.params import Params
from pipelines.compiled import PIPELINES
from pipelines.machines import KEYS, WORKSPACE
from pipelines.verbs import AFTERWARDS

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "pipelines" / "training.yaml"
MACHINES = {"secret", "workspace", "node_selector", "tolerations", "cpu", "memory", "data_cpu", "data_memory",
            "train_cpu", "train_memory", "gpus", "gpu", "gpu_node_selector", "gpu_tolerations"}
ON_A_GPU = {"train", "read-capture"}
OUTSIDE = {name for name, step in STEPS.items() if step.outside} | {"gate", "notify", "notify-refused"}
"""What acts on the outside world, and what asks the registry who is champion now."""


@pytest.fixture(scope="module")
def compiled():
    """The two documents of the golden file: the pipeline, and what is particular to Kubernetes."""
    return list(yaml.safe_load_all(GOLDEN.read_text()))


@pytest.fixture(scope="module")
def executors(compiled):
    return {name.removeprefix("exec-"): executor["container"]
            for name, executor in compiled[0]["deploymentSpec"]["executors"].items()}


@pytest.fixture(scope="module")
def on_kubernetes(compiled):
    return {name.removeprefix("exec-"): executor for name, executor in
            compiled[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items()}


def tasks(spec):
    """Every task of a compiled pipeline, those in branches too."""
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    return {name: task for dag in dags for name, task in dag["tasks"].items()}


@pytest.mark.parametrize("which", PIPELINES)
def test_the_golden_file_is_what_compiles_here_and_elsewhere(which, tmp_path):
    """Compiled by another process, from another folder, with another hash seed."""
    out, golden = tmp_path / "pipeline.yaml", ROOT / PIPELINES[which].golden
    subprocess.run([sys.executable, "-m", "components", "pipeline", "compile", "--which", which, "--out", str(out)],
                   cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"})
    assert out.read_text() == golden.read_text(), f"run 'vizecg pipeline compile --which {which}' and commit {golden}"
    assert str(ROOT) not in out.read_text()


def test_every_step_runs_in_its_image_and_installs_nothing(executors):
    assert executors.keys() == {*STEPS, *HELPERS}
    for name, step in STEPS.items():
        assert executors[name]["image"] == image(step.image)
    assert not any("pip install" in part for e in executors.values() for part in e["command"])


def test_only_what_acts_on_or_asks_the_outside_world_is_never_cached(compiled):
    cached = {name: task["cachingOptions"].get("enableCache", False) for name, task in tasks(compiled[0]).items()
              if name in {*STEPS, *HELPERS}}
    assert cached == {name: name not in OUTSIDE for name in (*STEPS, *HELPERS)}


def test_cached_results_hang_on_the_data_and_the_code(compiled):
    """Of ingest by its own parameters; of every other step through what ingest wrote."""
    spec = compiled[0]
    assert {"data_digest", "commit"} <= spec["components"]["comp-ingest"]["inputDefinitions"]["parameters"].keys()
    for name in {*STEPS, *HELPERS} - {"ingest", "notify"}:
        assert spec["components"][f"comp-{name}"]["inputDefinitions"]["artifacts"], name


def test_tasks_that_talk_to_stores_and_servers_or_take_long_are_tried_again(compiled):
    retried = {name: task["retryPolicy"] for name, task in tasks(compiled[0]).items() if "retryPolicy" in task}
    assert retried.keys() == {"ingest", "train", "gate", "register", "deploy", "notify-refused"}
    assert all(policy["maxRetryCount"] == 2 and policy["backoffFactor"] > 1 for policy in retried.values())


def test_every_task_has_its_machine_from_the_inputs(compiled, executors, on_kubernetes):
    for name, executor in executors.items():
        resources = executor["resources"]
        for key in ("resourceCpuLimit", "resourceMemoryLimit"):
            assert resources[key].startswith("{{$.inputs.parameters['pipelinechannel--"), (name, key)
        assert ("accelerator" in resources) == (name in ON_A_GPU)
        of = on_kubernetes[name]
        prefix = "gpu_" if name in ON_A_GPU else ""
        assert of["nodeSelector"]["nodeSelectorJson"]["componentInputParameter"].endswith(f"{prefix}node_selector")
        assert of["tolerations"][0]["tolerationJson"]["componentInputParameter"].endswith(f"{prefix}tolerations")
        assert int(of["activeDeadlineSeconds"]) >= 1800


@pytest.mark.parametrize("which", PIPELINES)
def test_every_input_reaches_the_tasks_that_want_it(which):
    """The compiler forgets a quantity inside a loop or branch unless the task names it; a cluster refuses that."""
    spec = next(yaml.safe_load_all((ROOT / PIPELINES[which].golden).read_text()))

    def check(dag, known):
        for name, task in dag["tasks"].items():
            for source in task.get("inputs", {}).get("parameters", {}).values():
                assert source.get("componentInputParameter", next(iter(known), "")) in known, (name, source)
            component = spec["components"][task["componentRef"]["name"]]
            if "dag" in component:
                check(component["dag"], component["inputDefinitions"]["parameters"])

    check(spec["root"]["dag"], spec["root"]["inputDefinitions"]["parameters"])


def test_keys_come_from_a_secret_and_none_is_written_down(on_kubernetes):
    with_keys = {name for name, executor in on_kubernetes.items() if "secretAsEnv" in executor}
    assert with_keys == {"ingest", "train", "gate", "register", "deploy", "notify", "notify-refused"}
    for name in with_keys:
        (secret,) = on_kubernetes[name]["secretAsEnv"]
        assert secret["optional"] and {pair["envVar"] for pair in secret["keyToEnv"]} == set(KEYS)
        assert "constant" not in secret["secretNameParameter"].get("runtimeValue", {})


def test_raw_data_and_states_lie_on_a_volume(on_kubernetes):
    mounted = {name: executor["pvcMount"][0]["mountPath"] for name, executor in on_kubernetes.items()
               if "pvcMount" in executor}
    assert mounted == {"ingest": WORKSPACE, "train": WORKSPACE}


def test_training_has_shared_memory(on_kubernetes):
    mounts = on_kubernetes["train"]["emptyDirMounts"]
    assert [(mount["mountPath"], mount["medium"]) for mount in mounts] == [("/dev/shm", "Memory")]


def test_trials_and_captures_are_loops(compiled):
    loops = {task["parameterIterator"]["items"]["inputParameter"].removeprefix("pipelinechannel--")
             for task in tasks(compiled[0]).values() if "parameterIterator" in task}
    assert loops == {"shards", "trials", "captures"}


def test_figures_report_card_and_sweep_show_in_the_page(compiled):
    shown = {artifact["artifactType"]["schemaTitle"] for component in compiled[0]["components"].values()
             for artifact in component.get("outputDefinitions", {}).get("artifacts", {}).values()}
    assert {"system.Metrics", "system.HTML", "system.Markdown"} <= shown


def test_the_parameters_are_the_sections_of_params_yaml_and_what_the_run_is_made_from(compiled):
    parameters = compiled[0]["root"]["inputDefinitions"]["parameters"]
    assert parameters.keys() == {*Params.__annotations__, *MACHINES, "data", "data_digest", "commit", "shards",
                                 "trials", "captures"} - set(AFTERWARDS)
    assert all(parameter["isOptional"] for parameter in parameters.values())


def test_the_branch_hangs_on_one_unnamed_value_of_the_gate(compiled):
    """kfp's local runner skips a branch on a named output, and says that all went well."""
    conditions = sorted(task["triggerPolicy"]["condition"] for task in tasks(compiled[0]).values()
                        if "condition" in task.get("triggerPolicy", {}))
    passed = "inputs.parameter_values['pipelinechannel--gate-Output'] == true"
    assert conditions == [f"!({passed})", passed]
    outputs = compiled[0]["components"]["comp-gate"]["outputDefinitions"]["parameters"]
    assert outputs == {"Output": {"parameterType": "BOOLEAN"}}


def test_the_ending_is_told_whatever_happens(compiled):
    ending = compiled[0]["root"]["dag"]["tasks"]["notify"]
    assert ending["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert ending["inputs"]["parameters"]["status"]["taskFinalStatus"]["producerTask"] == ending["dependentTasks"][0]


def test_an_unknown_image_is_named():
    with pytest.raises(ValueError, match="no image is called 'gpu'; there are data, train, serve"):
        image("gpu")


def test_a_release_names_digests_alone(tmp_path):
    lock = tmp_path / "images.lock"
    digests = {target: f"registry.example:5000/ecg/{target}@sha256:{number:064x}"
               for number, target in enumerate(PLACEHOLDERS)}
    lock.write_text(yaml.safe_dump(digests))
    text = with_references(GOLDEN.read_text(), released(lock))
    used = {executor["container"]["image"] for executor in
            next(yaml.safe_load_all(text))["deploymentSpec"]["executors"].values()}
    assert used == set(digests.values()) and "vizecgnet/python" not in text


@pytest.mark.parametrize("content", ["", "data: vizecgnet/data:1.0\n", "data: a@sha256:12\n"])
def test_a_tag_is_no_release(content, tmp_path):
    (tmp_path / "images.lock").write_text(content)
    with pytest.raises(ValueError, match="data has no reference of the form NAME@sha256"):
        released(tmp_path / "images.lock")
