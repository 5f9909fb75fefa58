"""The compiled pipeline: the same bytes anywhere, and what a cluster needs to know in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.images import image
from components.registry import STEPS
from model.params import Params

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "pipelines" / "training.yaml"


@pytest.fixture(scope="module")
def compiled():
    """The two documents of the golden file: the pipeline, and what is particular to Kubernetes."""
    return list(yaml.safe_load_all(GOLDEN.read_text()))


@pytest.fixture(scope="module")
def executors(compiled):
    return {name.removeprefix("exec-"): executor["container"]
            for name, executor in compiled[0]["deploymentSpec"]["executors"].items()}


def tasks(spec):
    """Every task of a compiled pipeline, those in branches too."""
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    return {name: task for dag in dags for name, task in dag["tasks"].items()}


def test_the_golden_file_is_what_compiles_here_and_elsewhere(tmp_path):
    """Compiled by another process, from another folder, with another hash seed."""
    out = tmp_path / "training.yaml"
    subprocess.run([sys.executable, "-m", "components", "pipeline", "compile", "--out", str(out)], cwd=tmp_path,
                   check=True, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"})
    assert out.read_text() == GOLDEN.read_text(), "run 'vizecg pipeline compile' and commit pipelines/training.yaml"
    assert str(ROOT) not in out.read_text()


def test_every_step_runs_in_its_image_and_installs_nothing(executors):
    assert executors.keys() == {*STEPS, "notify"}
    for name, step in STEPS.items():
        assert executors[name]["image"] == image(step.image)
    assert not any("pip install" in part for e in executors.values() for part in e["command"])


def test_only_what_acts_on_the_outside_world_is_never_cached(compiled):
    named = tasks(compiled[0])
    cached = {name: named[name]["cachingOptions"].get("enableCache", False) for name in STEPS}
    assert cached == {name: not step.outside for name, step in STEPS.items()}


def test_tasks_that_talk_to_stores_and_servers_are_tried_again(compiled):
    retried = {name: task["retryPolicy"] for name, task in tasks(compiled[0]).items() if "retryPolicy" in task}
    assert retried.keys() == {"ingest", "register", "deploy"}
    assert all(policy["maxRetryCount"] == 2 and policy["backoffFactor"] > 1 for policy in retried.values())


def test_training_has_shared_memory(compiled):
    mounts = compiled[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]["emptyDirMounts"]
    assert [(mount["mountPath"], mount["medium"]) for mount in mounts] == [("/dev/shm", "Memory")]


def test_the_parameters_are_the_sections_of_params_yaml_and_what_the_run_is_made_from(compiled):
    parameters = compiled[0]["root"]["inputDefinitions"]["parameters"]
    assert parameters.keys() == {*Params.__annotations__, "data", "data_digest", "commit"}
    assert all(parameter["isOptional"] for parameter in parameters.values())


def test_the_branch_hangs_on_one_unnamed_value_of_the_gate(compiled):
    """kfp's local runner skips a branch on a named output, and says that all went well."""
    conditions = [task["triggerPolicy"]["condition"] for task in tasks(compiled[0]).values()
                  if "condition" in task.get("triggerPolicy", {})]
    assert conditions == ["inputs.parameter_values['pipelinechannel--gate-Output'] == true"]
    outputs = compiled[0]["components"]["comp-gate"]["outputDefinitions"]["parameters"]
    assert outputs == {"Output": {"parameterType": "BOOLEAN"}}


def test_the_ending_is_told_whatever_happens(compiled):
    ending = compiled[0]["root"]["dag"]["tasks"]["notify"]
    assert ending["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert ending["inputs"]["parameters"]["status"]["taskFinalStatus"]["producerTask"] == ending["dependentTasks"][0]


def test_an_unknown_image_is_named():
    with pytest.raises(ValueError, match="images.lock: no image is called 'gpu'; there are data, train, serve"):
        image("gpu")
