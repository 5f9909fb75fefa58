"""The reading of many pages: a folder or a bucket of scans to a table, by the version that is champion now."""

from kfp import dsl

from components.notify.component import notify
from components.scans.component import read_scans
from components.scans.fetch_component import fetch
from components.scans.gather_component import gather
from pipelines.machines import Machine, on


# ruff: noqa: B006 - Kubeflow reads the defaults and never calls the function with them
@dsl.pipeline(name="vizecgnet-batch-predict", description="Read a bucket of scanned ECG pages into a table.")
def batch_predict(scans: str, name: str = "vizecgnet", alias: str = "champion", layout: str = "",
                  parts: list[int] = [0], commit: str = "", tracking: dict = {}, secret: str = "vizecg",
                  workspace: str = "vizecg-workspace", node_selector: dict = {}, tolerations: list = [],
                  cpu: str = "1", memory: str = "4Gi", read_cpu: str = "4", read_memory: str = "8Gi"):
    small = Machine(cpu, memory, node_selector, tolerations)
    wide = Machine(read_cpu, read_memory, node_selector, tolerations)

    ending = on(notify(tracking=tracking, commit=commit), small, hours=0.5, cache=False, secret=secret)
    with dsl.ExitHandler(ending, name="batch-predict"):
        # --- the champion, of this moment: who it is may have changed, so never cached ------------
        fetched = fetch(name=name, alias=alias, tracking=tracking)
        on(fetched, small, hours=0.5, retry=True, cache=False, secret=secret)

        # --- the scans, a share for each part; new ones may have come -----------------------------
        with dsl.ParallelFor(parts, name="parts") as part:
            read = read_scans(scans=scans, package=fetched.outputs["package"], layout=layout, part=part, parts=parts)
            on(read, wide, hours=12, retry=True, cache=False, secret=secret, workspace=workspace)

        # --- one table ----------------------------------------------------------------------------
        on(gather(parts=dsl.Collected(read.outputs["readings"])), small, hours=1, cache=False)
