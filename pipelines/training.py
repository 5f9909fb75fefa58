"""The training pipeline on one page: from a raw source to a served model.

Every parameter that is a section of params.yaml may be given in part; what is left out takes the
defaults of model/params.py. `vizecg pipeline run` and `submit` send params.yaml as a whole.
"""

from kfp import dsl, kubernetes

from components.deploy.component import deploy as deploy_version
from components.evaluate.component import evaluate as evaluate_model
from components.gate.component import gate as check_gate
from components.ingest.component import ingest as ingest_records
from components.notify.component import notify
from components.package.component import package as package_model
from components.register.component import register as register_version
from components.render.component import render as render_pages
from components.train.component import train as train_model
from components.validate.component import validate as validate_records

RETRY = {"num_retries": 2, "backoff_duration": "5s", "backoff_factor": 4.0, "backoff_max_duration": "60s"}
"""For tasks that talk to stores and servers, which may be away for a moment."""


# ruff: noqa: B006 - Kubeflow reads the defaults and never calls the function with them
@dsl.pipeline(name="vizecgnet-training", description="Train, measure, package and serve a reader of printed ECG pages.")
def training(data: str = "data/simulated", data_digest: str = "", commit: str = "", seed: int = 7,
             ingest: dict = {}, validate: dict = {}, page: dict = {}, render: dict = {}, model: dict = {},
             train: dict = {}, evaluate: dict = {}, gate: dict = {}, package: dict = {}, register: dict = {},
             deploy: dict = {}, tracking: dict = {}):
    # --- whatever happens, MLflow learns how it ended -----------------------------------------
    ending = notify(tracking=tracking, commit=commit)

    with dsl.ExitHandler(ending, name="training"):
        # --- ingest: raw source to record store -----------------------------------------------
        ingested = ingest_records(data=data, params=ingest, seed=seed, data_digest=data_digest, commit=commit)
        ingested.set_retry(**RETRY)
        records = ingested.outputs["records"]

        # --- validate: stop here on bad data --------------------------------------------------
        validation = validate_records(records=records, params=validate, seed=seed).outputs["validation"]

        # --- render: the frozen evaluation pages ----------------------------------------------
        pages = render_pages(records=records, params=render, page=page, seed=seed).outputs["pages"]

        # --- train: pages drawn on the fly, the signal at hand --------------------------------
        trained = train_model(records=records, validation=validation, params=train, model=model, page=page,
                              tracking=tracking, seed=seed)
        kubernetes.empty_dir_mount(trained, volume_name="shm", mount_path="/dev/shm", medium="Memory")
        checkpoint = trained.outputs["checkpoint"]

        # --- evaluate: the image alone --------------------------------------------------------
        evaluation = evaluate_model(checkpoint=checkpoint, pages=pages, params=evaluate,
                                    seed=seed).outputs["evaluation"]

        # --- gate: one yes or no --------------------------------------------------------------
        gated = check_gate(evaluation=evaluation, params=gate, seed=seed)
        decision = gated.outputs["decision"]

        with dsl.If(gated.outputs["Output"] == True, name="gate-passed"):  # noqa: E712 - builds an expression
            # --- package: the exported model and its archive ----------------------------------
            packaged = package_model(checkpoint=checkpoint, pages=pages, evaluation=evaluation, decision=decision,
                                     params=package, seed=seed).outputs["package"]

            # --- register: a version in the MLflow registry, challenger -----------------------
            registered = register_version(package=packaged, evaluation=evaluation, decision=decision,
                                          params=register, tracking=tracking, seed=seed)
            registered.set_caching_options(enable_caching=False)
            registered.set_retry(**RETRY)

            # --- deploy: load, smoke-test, switch, champion -----------------------------------
            deployed = deploy_version(package=packaged, registration=registered.outputs["registration"],
                                      params=deploy, tracking=tracking, seed=seed)
            deployed.set_caching_options(enable_caching=False)
            deployed.set_retry(**RETRY)
