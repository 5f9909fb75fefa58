"""The manifests: valid for Kubernetes and KServe, no right more than is used, and the commands are ours."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ROOT / "serving" / "manifests"
KSERVE = PLAIN / "kserve"
CRD = ROOT.parent / "shared" / "crds" / "isvc.yaml"


def resources(folder):
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in folder.glob("*.yaml")} == {*listed, "kustomization.yaml"}
    return [thing for name in listed for thing in yaml.safe_load_all((folder / name).read_text())]


def the(folder, kind):
    found, = (thing for thing in resources(folder) if thing["kind"] == kind)
    return found


def pods():
    deployment = the(PLAIN, "Deployment")
    service = the(KSERVE, "InferenceService")
    return {"plain": deployment["spec"]["template"]["spec"], "kserve": service["spec"]["predictor"]}


def strict(schema):
    """Unknown fields are mistakes: the API server would drop them without a word."""
    if isinstance(schema, dict):
        closed = {key: strict(value) for key, value in schema.items()}
        if "properties" in schema and "additionalProperties" not in schema and \
                not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
        return closed
    return [strict(value) for value in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("resource", [*resources(PLAIN), the(KSERVE, "NetworkPolicy")],
                         ids=lambda thing: thing["kind"])
def test_kubernetes_takes_them(resource):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(resource, "1.33", strict=True)


@pytest.mark.skipif(not CRD.exists(), reason="no copy of KServe's schema here")
def test_kserve_takes_the_service():
    crd = yaml.load(CRD.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    version, = (version for version in crd["spec"]["versions"] if version["name"] == "v1beta1")
    spec = Draft202012Validator(strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"]))
    service = the(KSERVE, "InferenceService")
    assert not [f"{error.json_path}: {error.message}" for error in spec.iter_errors(service["spec"])]
    service["spec"]["predictor"]["containers"][0]["porst"] = []
    assert list(spec.iter_errors(service["spec"]))


@pytest.mark.parametrize("folder", [PLAIN, KSERVE], ids=["plain", "kserve"])
@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")
def test_kubectl_builds_them(folder):
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    assert len(list(yaml.safe_load_all(done.stdout))) == len(resources(folder))


@pytest.mark.parametrize("kind", ["plain", "kserve"])
def test_a_pod_may_do_no_more_than_it_must(kind):
    pod = pods()[kind]
    container, = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys() & container["resources"]["requests"].keys()
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert [name for name, mount in mounted.items() if not mount.get("readOnly")] == ["tmp"]
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("kind", ["plain", "kserve"])
def test_the_command_and_the_probes_are_those_of_our_code(kind, capsys):
    from serving.container import main
    from serving.front import make_front

    container, = pods()[kind]["containers"]
    assert container["command"][:3] == ["python", "-m", main.__module__]
    assert main(container["command"][3:]) == 2 and "mount the Secret" in capsys.readouterr().err
    routes = {route.path for route in make_front(None, "vizecgnet", token=str).routes}
    probes = [container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert probes == ["/health/ready", "/health/ready", "/health/live"] and set(probes) <= routes


@pytest.mark.parametrize("folder", [PLAIN, KSERVE], ids=["plain", "kserve"])
def test_only_callers_come_in_and_nothing_goes_out(folder):
    policy = the(folder, "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"] and policy["spec"]["egress"] == []
    # KServe labels the pods of a service with its name.
    selected = the(PLAIN, "Deployment")["spec"]["selector"] if folder == PLAIN else {
        "matchLabels": {"serving.kserve.io/inferenceservice": the(KSERVE, "InferenceService")["metadata"]["name"]}}
    assert policy["spec"]["podSelector"] == selected
    assert all(rule["from"] and rule["ports"] for rule in policy["spec"]["ingress"])
