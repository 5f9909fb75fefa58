"""A TrainJob against an API on loopback whose nodes are real processes: made, followed, deleted whatever happens."""

import datetime
import ipaddress
import os
import signal
import ssl

import jsonschema
import pytest

from components.train import trainjob
from components.train.trainjob import Cluster, Nodes, manifest
from tests.components.cluster import JOBS, LoopbackCluster, trainjob_schema


def nodes(script="true", **changes):
    return Nodes(**{"image": "vizecgnet/python-train:1", "command": ("sh", "-c", script), "count": 2, "processes": 1,
                    "runtime": "torch-distributed", "accelerator": "", "secret": "", **changes})


@pytest.fixture
def api(tmp_path, monkeypatch):
    api = LoopbackCluster()
    api.write_kubeconfig(tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(trainjob, "SECONDS_BETWEEN_LOOKS", 0.05)
    yield api
    api.close()


@pytest.fixture
def said():
    return []


def run(said, *arguments, **options):
    Cluster(say=said.append).run("job", nodes(*arguments, **options))


@pytest.mark.skipif(trainjob_schema() is None, reason="the CRDs are not at hand")
@pytest.mark.parametrize("wanted", [nodes(), nodes(accelerator="nvidia.com/gpu", processes=8, secret="keys")])
def test_the_manifest_is_what_the_crd_declares(wanted, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "train-1", "uid": "u"}
    job, schema = manifest("vizecg-1", wanted, owner=owner), trainjob_schema()
    schema.validate(job)
    assert job["spec"]["trainer"]["numNodes"] == 2 and job["metadata"]["ownerReferences"] == [owner]
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"} in job["spec"]["trainer"]["env"]
    job["spec"]["trainer"]["nodes"] = 2
    with pytest.raises(jsonschema.ValidationError, match="'nodes' was unexpected"):
        schema.validate(job)


def test_a_job_is_followed_with_each_nodes_lines_and_deleted(api, said, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not to be passed on")
    api.secrets["keys"] = {"AWS_ACCESS_KEY_ID": "some"}
    run(said, 'echo "$PET_NODE_RANK of $PET_NNODES: $AWS_ACCESS_KEY_ID$MLFLOW_TRACKING_PASSWORD"; sleep 0.3; echo done',
        secret="keys")
    for line in ("0 of 2: some", "done"):
        assert said.count(f"[node 0] {line}") == 1 and said.count(f"[node 1] {line.replace('0 of', '1 of')}") == 1
    states = [line for line in said if line.startswith("TrainJob")]
    first, *between, complete, last = states
    # Which states are seen on the way hangs on the machine's speed.
    assert set(between) <= {"TrainJob job: Waiting", "TrainJob job: Running"}
    assert [first, complete, last] == ["TrainJob team/job: made, 2 nodes of 1 processes",
                                       "TrainJob job: Complete, jobset completed successfully", "TrainJob job: deleted"]
    assert not api.jobs and api.deleted == ["job"]


def test_a_container_that_fails_once_is_heard_again(api, said, tmp_path):
    run(said, f'echo "begun $PET_NODE_RANK"; if mkdir {tmp_path}/first-$PET_NODE_RANK; then sleep 0.3; exit 75; fi')
    assert said.count("[node 1] begun 1") == 2 and "TrainJob job: deleted" in said


def test_a_job_that_fails_says_so_and_is_deleted(api, said):
    with pytest.raises(RuntimeError, match="TrainJob job: failed .jobset failed due to one or more"):
        run(said, "echo this is why; exit 3")
    assert "[node 0] this is why" in said and api.deleted == ["job"]


def test_a_servers_bad_moment_is_waited_out_and_a_long_one_is_not(api, said, monkeypatch):
    cluster = Cluster(say=said.append)

    def break_down(line):
        said.append(line)
        api.broken = 5 if line.endswith("Running") else api.broken

    cluster.say = break_down
    cluster.run("job", nodes("sleep 1"))
    assert said[-1] == "TrainJob job: deleted" and not api.broken
    monkeypatch.setattr(trainjob, "FAILURES", 3)
    with pytest.raises(RuntimeError, match="no longer answers"):
        cluster.run("job", nodes("sleep 30"))


def test_sigterm_deletes_the_job_and_ends_its_nodes(api, said):
    def cancel(line):
        said.append(line)
        if line == "[node 0] at work":
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        Cluster(say=cancel).run("job", nodes("echo at work; sleep 60"))
    assert ended.value.code == 75 and api.deleted == ["job"]
    assert all(node.process.wait(timeout=5) == -signal.SIGTERM for node in api.nodes["job"])
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_job_that_someone_deletes_is_missed(api, said):
    def deleted(line):
        said.append(line)
        if line == "TrainJob job: Running":
            api._delete("job")

    with pytest.raises(RuntimeError, match="was deleted by someone else"):
        Cluster(say=deleted).run("job", nodes("sleep 60"))


@pytest.mark.skipif(trainjob_schema() is None, reason="the CRDs are not at hand")
def test_what_the_cluster_refuses_is_the_users_mistake(api, said):
    with pytest.raises(ValueError, match="the cluster refuses the TrainJob: 422 .*not of type 'integer'"):
        run(said, count="two")
    assert not api.jobs


def test_without_a_cluster_the_way_to_one_is_said(tmp_path, monkeypatch, said):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="train.nodes: more than one needs a Kubernetes cluster"):
        Cluster(say=said.append)


def certificate(folder):
    """A self-signed certificate for 127.0.0.1; returns the files of it and of its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256()))
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "ca.crt", folder / "key.pem"


def test_in_a_pod_the_job_has_its_image_and_belongs_to_it(tmp_path, monkeypatch, said):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    (tmp_path / "token").write_text("secret")
    (tmp_path / "namespace").write_text("team\n")
    api = LoopbackCluster(context=context)
    api.own_pods["train-1"] = {"metadata": {"name": "train-1", "uid": "u-1"}, "spec": {"containers": [
        {"name": "wait", "image": "argo"}, {"name": "main", "image": "vizecgnet/python-train@sha256:12"}]}}
    monkeypatch.setattr(trainjob, "ACCOUNT", tmp_path)
    monkeypatch.setattr(trainjob, "SECONDS_BETWEEN_LOOKS", 0.05)
    for name, value in (("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", str(api.port)),
                        ("HOSTNAME", "train-1")):
        monkeypatch.setenv(name, value)
    try:
        cluster = Cluster(say=said.append)
        assert cluster.own_image() == "vizecgnet/python-train@sha256:12"
        kept = []
        monkeypatch.setattr(api, "_delete", lambda name: kept.append(api.jobs.pop(name)))
        cluster.run("job", nodes(image=cluster.own_image()))
        assert kept[0]["metadata"]["ownerReferences"][0] == {
            "apiVersion": "v1", "kind": "Pod", "name": "train-1", "uid": "u-1"}
    finally:
        api.close()
    assert ("POST", JOBS) in api.seen
