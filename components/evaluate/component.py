"""evaluate on Kubeflow."""

from typing import List  # noqa: UP035 - the only spelling of a list of artifacts that Kubeflow reads

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def evaluate(checkpoint: dsl.Input[dsl.Model], pages: dsl.Input[dsl.Dataset],
             readings: dsl.Input[List[dsl.Dataset]], params: dict, seed: int,  # noqa: UP006
             evaluation: dsl.Output[dsl.Artifact], metrics: dsl.Output[dsl.Metrics], report: dsl.Output[dsl.HTML],
             card: dsl.Output[dsl.Markdown], classification: dsl.Output[dsl.ClassificationMetrics]):
    """Checkpoint, pages and what was read of them to figures; the page of KFP shows macro ones, curves and papers."""
    import json
    import shutil
    from pathlib import Path

    from components.evaluate.step import run
    from model.params import EvaluateParams
    from model.typed import from_dict

    folder = Path(evaluation.path)
    run(checkpoint=Path(checkpoint.path), pages=Path(pages.path), evaluation=folder,
        params=from_dict(EvaluateParams, params, "evaluate"), seed=seed,
        readings=tuple(Path(each.path) for each in readings))
    for capture, figures in json.loads((folder / "metrics.json").read_text())["test"].items():
        known = {name: figure for name, figure in figures["macro"].items() if figure["value"] is not None}
        for name, figure in known.items():
            metrics.log_metric(f"{capture}.{name}", figure["value"])
    shown = json.loads((folder / "classification.json").read_text())
    classification.log_roc_curve(*(shown["roc"][name] for name in ("fpr", "tpr", "threshold")))
    classification.log_confusion_matrix(**shown["confusion"])
    shutil.copyfile(folder / "report.html", report.path)
    shutil.copyfile(folder / "model_card.md", card.path)
