"""Where a task runs: its machine, how long it may take, how often it is tried, and which secrets it sees.

Every quantity is an input of the pipeline, so that a compiled file fits another cluster without being compiled again.
"""

from typing import NamedTuple

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from model.params import SALT_VARIABLE

RETRY = {"num_retries": 2, "backoff_duration": "5s", "backoff_factor": 4.0, "backoff_max_duration": "60s"}
"""For tasks that talk to stores and servers, which may be away for a moment, and for long ones whose node may go."""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION",
        "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "VIZECG_WEBHOOK",
        SALT_VARIABLE)
"""What the tasks' Kubernetes Secret may hold; each entry is a variable of the same name, those of them that it has."""
WORKSPACE = "/workspace"
"""Where the tasks that read raw data, or leave states to resume from, find the shared volume."""


class Machine(NamedTuple):
    """A kind of machine: quantities as Kubernetes writes them, each an input of the pipeline."""

    cpu: dsl.pipeline_channel.PipelineParameterChannel
    memory: dsl.pipeline_channel.PipelineParameterChannel
    node_selector: dsl.pipeline_channel.PipelineParameterChannel
    tolerations: dsl.pipeline_channel.PipelineParameterChannel
    gpus: dsl.pipeline_channel.PipelineParameterChannel | None = None
    gpu: dsl.pipeline_channel.PipelineParameterChannel | None = None


def on(task: PipelineTask, machine: Machine, *, hours: float, retry: bool = False, cache: bool = True,
       secret=None, workspace=None) -> PipelineTask:
    """Put a task onto a machine.

    Args:
        task: of a pipeline.
        machine: its kind.
        hours: after which Kubernetes ends it.
        retry: try again twice, after 5 s and 20 s.
        cache: take the result of an equal task. Equal means image, parameters and inputs; ingest's parameters hold
            the digest of the data and the commit, and every later task hangs on its output. Off for what acts on
            the outside world.
        secret: name of the Secret whose keys the task sees as variables.
        workspace: name of the volume claim that the task sees below `WORKSPACE`.
    """
    # The compiler hands quantities into branches and loops only when the task says that they are its inputs.
    task.register_pipeline_channels([channel for channel in (machine.cpu, machine.memory, machine.gpus, machine.gpu)
                                     if channel is not None])
    task.set_cpu_limit(machine.cpu).set_memory_limit(machine.memory).set_caching_options(enable_caching=cache)
    if machine.gpus is not None:
        task.set_accelerator_limit(machine.gpus).set_accelerator_type(machine.gpu)
    kubernetes.add_node_selector_json(task, machine.node_selector)
    kubernetes.add_toleration_json(task, machine.tolerations)
    kubernetes.set_timeout(task, round(hours * 3600))
    if retry:
        task.set_retry(**RETRY)
    if secret is not None:
        kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={key: key for key in KEYS},
                                     optional=True)
    if workspace is not None:
        kubernetes.mount_pvc(task, pvc_name=workspace, mount_path=WORKSPACE)
    return task


def shared_memory(task: PipelineTask) -> PipelineTask:
    """Give a task /dev/shm of its own size: containers have 64 MB otherwise, too little for a loader's workers."""
    return kubernetes.empty_dir_mount(task, volume_name="shm", mount_path="/dev/shm", medium="Memory")
