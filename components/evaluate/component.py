"""evaluate on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def evaluate(checkpoint: dsl.Input[dsl.Model], pages: dsl.Input[dsl.Dataset], params: dict, seed: int,
             evaluation: dsl.Output[dsl.Artifact], metrics: dsl.Output[dsl.Metrics], report: dsl.Output[dsl.HTML]):
    """Checkpoint and pages to figures; the macro ones and the report show in the KFP page."""
    import json
    import shutil
    from pathlib import Path

    from components.evaluate.step import run
    from model.params import EvaluateParams, from_dict

    folder = Path(evaluation.path)
    run(checkpoint=Path(checkpoint.path), pages=Path(pages.path), evaluation=folder,
        params=from_dict(EvaluateParams, params, "evaluate"), seed=seed)
    for capture, figures in json.loads((folder / "metrics.json").read_text())["test"].items():
        known = {name: figure for name, figure in figures["macro"].items() if figure["value"] is not None}
        for name, figure in known.items():
            metrics.log_metric(f"{capture}.{name}", figure["value"])
    shutil.copyfile(folder / "report.html", report.path)
