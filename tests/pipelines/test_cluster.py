"""The files for a cluster: valid for Kubernetes and the operators' own schemas, and no right more than is used."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.compiled import compile_text
from pipelines.machines import KEYS

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "pipelines" / "cluster"
CRDS = ROOT.parent / "shared" / "crds"
FOLDERS = [pytest.param(folder, id=folder.name) for folder in (CLUSTER, CLUSTER / "mlflow")]


def resources(folder: Path) -> list[dict]:
    """Every resource that a kustomization lists."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [thing for name in listed for thing in yaml.safe_load_all((folder / name).read_text())]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_listed_and_every_resource_is_valid(folder):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in folder.glob("*.yaml")} == {*listed, "kustomization.yaml"}
    for resource in resources(folder):
        kubernetes_validate.validate(resource, "1.33", strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")
def test_kubectl_builds_them(folder):
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    names = {(thing["kind"], thing["metadata"]["name"]) for thing in resources(folder)}
    assert {(thing["kind"], thing["metadata"]["name"]) for thing in built} == names
    assert all(thing["metadata"]["labels"]["app.kubernetes.io/part-of"] == "vizecgnet" for thing in built)


def test_our_code_may_make_trainjobs_and_nothing_else():
    roles = {thing["metadata"]["name"]: thing["rules"] for thing in resources(CLUSTER) if thing["kind"] == "Role"}
    assert {(tuple(rule["apiGroups"]), tuple(rule["resources"]), tuple(rule["verbs"]))
            for rule in roles["vizecg-trainjobs"]} == {
        (("trainer.kubeflow.org",), ("trainjobs",), ("create", "get", "delete")),
        (("",), ("pods",), ("get", "list")), (("",), ("pods/log",), ("get",))}
    for rule in roles["vizecg-launcher"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert rule.get("resourceNames") or rule["resources"] == ["workflowtaskresults"]
    assert not [thing for thing in resources(CLUSTER) if thing["kind"].startswith("Cluster")]


def test_roles_are_bound_to_the_account_alone():
    bindings = [thing for thing in resources(CLUSTER) if thing["kind"] == "RoleBinding"]
    assert {binding["roleRef"]["name"] for binding in bindings} == {"vizecg-trainjobs", "vizecg-launcher"}
    assert all(binding["subjects"] == [{"kind": "ServiceAccount", "name": "vizecg"}] for binding in bindings)


def test_the_pipelines_defaults_are_what_is_made_here():
    claims = {thing["metadata"]["name"] for thing in resources(CLUSTER) if thing["kind"] == "PersistentVolumeClaim"}
    for name in ("training", "batch_predict", "monitor"):
        spec = next(yaml.safe_load_all((ROOT / "pipelines" / f"{name}.yaml").read_text()))
        inputs = spec["root"]["inputDefinitions"]["parameters"]
        assert inputs["workspace"]["defaultValue"] in claims and inputs["secret"]["defaultValue"] == "vizecg"


def test_the_template_of_the_secret_holds_known_names_and_no_value():
    lines = [line for line in (CLUSTER / "vizecg.env.example").read_text().splitlines()
             if line and not line.startswith("#")]
    pairs = dict(line.split("=", 1) for line in lines)
    assert pairs.keys() <= set(KEYS) and not any(pairs.values())


def test_mlflow_runs_as_nobody_and_only_tasks_reach_it():
    by_kind = {thing["kind"]: thing for thing in resources(CLUSTER / "mlflow")}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    allowed = {tuple(source["podSelector"]["matchLabels"]) for rule in by_kind["NetworkPolicy"]["spec"]["ingress"]
               for source in rule["from"]}
    assert allowed == {("pipelines.kubeflow.org/v2_component",), ("jobset.sigs.k8s.io/replicatedjob-name",)}
    assert by_kind["NetworkPolicy"]["spec"]["egress"] == []


@pytest.mark.skipif(not CRDS.is_dir(), reason="the operators' schemas are not here")
@pytest.mark.parametrize("which", ["training", "batch_predict", "monitor"])
def test_pipelines_as_resources_fit_the_operators_schemas(which):
    import jsonschema

    made = [thing for thing in yaml.safe_load_all(compile_text(which, manifests=True, namespace="ecg")) if thing]
    assert [thing["kind"] for thing in made] == ["Pipeline", "PipelineVersion"]
    for thing in made:
        crd = yaml.safe_load((CRDS / f"pipelines.kubeflow.org_{thing['kind'].lower()}s.yaml").read_text())
        (version,) = [v for v in crd["spec"]["versions"] if thing["apiVersion"].endswith(f"/{v['name']}")]
        jsonschema.validate(thing, version["schema"]["openAPIV3Schema"])
        assert thing["metadata"]["namespace"] == "ecg"
    spec = made[1]["spec"]
    assert spec["pipelineName"] == made[0]["metadata"]["name"]
    assert spec["platformSpec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
