"""The watch over a served model, to be run again and again: are today's pages those that it was measured on?"""

from kfp import dsl

from components.notify.component import notify
from components.notify.drift_component import notify_drift
from components.scans.component import read_scans
from components.scans.fetch_component import fetch
from components.scans.gather_component import gather
from components.scans.monitor_component import watch
from pipelines.machines import Machine, on


# ruff: noqa: B006 - Kubeflow reads the defaults and never calls the function with them
@dsl.pipeline(name="vizecgnet-monitor", description="Compare readings of new pages with what was measured.")
def monitor(scans: str, name: str = "vizecgnet", alias: str = "champion", parts: list[int] = [0], commit: str = "",
            params: dict = {}, tracking: dict = {}, secret: str = "vizecg", workspace: str = "vizecg-workspace",
            node_selector: dict = {}, tolerations: list = [], cpu: str = "1", memory: str = "4Gi",
            read_cpu: str = "4", read_memory: str = "8Gi"):
    small = Machine(cpu, memory, node_selector, tolerations)
    wide = Machine(read_cpu, read_memory, node_selector, tolerations)

    ending = on(notify(tracking=tracking, commit=commit), small, hours=0.5, cache=False, secret=secret)
    with dsl.ExitHandler(ending, name="monitor"):
        # --- the champion and its evaluation, from the registry -----------------------------------
        fetched = fetch(name=name, alias=alias, tracking=tracking)
        on(fetched, small, hours=0.5, retry=True, cache=False, secret=secret)

        # --- today's pages ------------------------------------------------------------------------
        with dsl.ParallelFor(parts, name="parts") as part:
            read = read_scans(scans=scans, package=fetched.outputs["package"], part=part, parts=parts)
            on(read, wide, hours=12, retry=True, cache=False, secret=secret, workspace=workspace)
        gathered = on(gather(parts=dsl.Collected(read.outputs["readings"])), small, hours=1, cache=False)

        # --- against what was measured ------------------------------------------------------------
        watched = watch(readings=gathered.outputs["readings"], evaluation=fetched.outputs["evaluation"], params=params)
        on(watched, small, hours=1, cache=False)
        with dsl.If(watched.outputs["Output"] == True, name="drift"):  # noqa: E712 - builds an expression
            told = notify_drift(watched=watched.outputs["watched"], tracking=tracking, commit=commit,
                                job=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
            on(told, small, hours=0.5, retry=True, cache=False, secret=secret)
