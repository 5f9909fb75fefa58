"""The training pipeline on one page: from a raw source to a served model.

Every parameter that is a section of params.yaml may be given in part; what is left out takes the
defaults of model/params.py. `vizecg pipeline run` and `submit` send params.yaml as a whole. The last
rows of parameters say what machines the tasks get (pipelines/machines.py).
"""

from kfp import dsl

from components.choose.component import choose
from components.deploy.component import deploy as deploy_version
from components.evaluate.component import evaluate as evaluate_model
from components.evaluate.read_component import read_capture
from components.gate.component import gate as check_gate
from components.ingest.component import ingest as ingest_records
from components.ingest.shards_component import merge_shards
from components.notify.component import notify, notify_refused
from components.package.component import package as package_model
from components.register.component import register as register_version
from components.render.component import render as render_pages
from components.train.component import train as train_model
from components.validate.component import validate as validate_records
from pipelines.machines import Machine, on, shared_memory


# ruff: noqa: B006 - Kubeflow reads the defaults and never calls the function with them
@dsl.pipeline(name="vizecgnet-training", description="Train, measure, package and serve a reader of printed ECG pages.")
def training(data: str = "data/simulated", data_digest: str = "", commit: str = "", seed: int = 7,
             shards: list[int] = [1], trials: list[dict] = [{"train": {}}], captures: list[str] = ["clean"],
             ingest: dict = {}, validate: dict = {}, page: dict = {}, render: dict = {}, model: dict = {},
             train: dict = {}, evaluate: dict = {}, gate: dict = {}, package: dict = {}, register: dict = {},
             deploy: dict = {}, tracking: dict = {},
             secret: str = "vizecg", workspace: str = "vizecg-workspace", node_selector: dict = {},
             tolerations: list = [], cpu: str = "1", memory: str = "4Gi", data_cpu: str = "4",
             data_memory: str = "16Gi", train_cpu: str = "8", train_memory: str = "32Gi", gpus: str = "0",
             gpu: str = "nvidia.com/gpu", gpu_node_selector: dict = {}, gpu_tolerations: list = []):
    small = Machine(cpu, memory, node_selector, tolerations)
    wide = Machine(data_cpu, data_memory, node_selector, tolerations)
    fast = Machine(train_cpu, train_memory, gpu_node_selector, gpu_tolerations, gpus, gpu)

    # --- whatever happens, MLflow and the webhook learn how it ended ---------------------------
    ending = on(notify(tracking=tracking, commit=commit), small, hours=0.5, cache=False, secret=secret)

    with dsl.ExitHandler(ending, name="training"):
        # --- ingest: raw source to record store, each part of the source for itself ------------
        with dsl.ParallelFor(shards, name="shards") as shard:
            ingested = ingest_records(data=data, params=ingest, seed=seed, data_digest=data_digest, commit=commit,
                                      shard=shard, shards=shards)
            on(ingested, wide, hours=12, retry=True, secret=secret, workspace=workspace)
        merged = merge_shards(parts=dsl.Collected(ingested.outputs["records"]))
        records = on(merged, small, hours=2).outputs["records"]

        # --- validate: stop here on bad data --------------------------------------------------
        validated = validate_records(records=records, params=validate, seed=seed)
        validation = on(validated, small, hours=1).outputs["validation"]

        # --- render: the frozen evaluation pages ----------------------------------------------
        rendered = render_pages(records=records, params=render, page=page, seed=seed)
        pages = on(rendered, wide, hours=6).outputs["pages"]

        # --- train: pages drawn on the fly, the signal at hand; each trial of a sweep for itself --
        with dsl.ParallelFor(trials, name="trials") as trial:
            trained = train_model(records=records, validation=validation, params=train, model=model, page=page,
                                  tracking=tracking, seed=seed, trial=trial)
            on(trained, fast, hours=72, retry=True, secret=secret, workspace=workspace)
            shared_memory(trained)
        chosen = choose(checkpoints=dsl.Collected(trained.outputs["checkpoint"]), trials=trials)
        checkpoint = on(chosen, small, hours=0.5).outputs["checkpoint"]

        # --- evaluate: the image alone; each capture read for itself, then measured together -----
        with dsl.ParallelFor(captures, name="captures") as capture:
            read = read_capture(checkpoint=checkpoint, pages=pages, capture=capture, params=evaluate)
            on(read, fast, hours=4)
        measured = evaluate_model(checkpoint=checkpoint, pages=pages, params=evaluate, seed=seed,
                                  readings=dsl.Collected(read.outputs["readings"]))
        evaluation = on(measured, wide, hours=4).outputs["evaluation"]

        # --- gate: one yes or no, and not below the champion of this moment: never cached -------
        judged = check_gate(evaluation=evaluation, checkpoint=checkpoint, pages=pages, params=gate, register=register,
                            tracking=tracking, seed=seed)
        gated = on(judged, small, hours=2, retry=True, cache=False, secret=secret)
        decision = gated.outputs["decision"]

        with dsl.If(gated.outputs["Output"] == True, name="gate-passed"):  # noqa: E712 - builds an expression
            # --- package: the exported model and its archive ----------------------------------
            packaging = package_model(checkpoint=checkpoint, pages=pages, evaluation=evaluation, decision=decision,
                                      params=package, seed=seed)
            packaged = on(packaging, wide, hours=2).outputs["package"]

            # --- register: a version in the MLflow registry, challenger -----------------------
            registered = register_version(package=packaged, evaluation=evaluation, decision=decision,
                                          params=register, gate=gate, tracking=tracking, seed=seed,
                                          pipeline_run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
            on(registered, small, hours=1, retry=True, cache=False, secret=secret)

            # --- deploy: load, smoke-test, switch, champion -----------------------------------
            deployed = deploy_version(package=packaged, registration=registered.outputs["registration"],
                                      params=deploy, tracking=tracking, seed=seed)
            on(deployed, small, hours=1, retry=True, cache=False, secret=secret)
        with dsl.Else(name="gate-refused"):
            # --- the gate's reasons to MLflow and the webhook ----------------------------------
            refused = notify_refused(decision=decision, tracking=tracking, commit=commit,
                                     job=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
            on(refused, small, hours=0.5, retry=True, cache=False, secret=secret)
