"""Served readings against what was measured, on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def watch(readings: dsl.Input[dsl.Dataset], evaluation: dsl.Input[dsl.Artifact], params: dict,
          watched: dsl.Output[dsl.Artifact], report: dsl.Output[dsl.HTML]) -> bool:
    """Whether the readings drift from the evaluation of the version that gave them: one unnamed value."""
    import shutil
    from pathlib import Path

    from components.monitor import DRIFT, read_log, run
    from model.params import MonitorParams
    from model.typed import from_dict

    result = run(answers=read_log(Path(readings.path) / "readings.json"), reference=Path(evaluation.path),
                 report=Path(watched.path), params=from_dict(MonitorParams, params, "monitor"))
    shutil.copyfile(Path(watched.path) / "report.html", report.path)
    watched.metadata.update(state=result.state, pages=result.pages, drifted=list(result.drifted))
    return result.status == DRIFT
