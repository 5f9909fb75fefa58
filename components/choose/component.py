"""choose on Kubeflow: what a sweep comes to."""

from typing import List  # noqa: UP035 - the only spelling of a list of artifacts that Kubeflow reads

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def choose(checkpoints: dsl.Input[List[dsl.Model]], trials: list, checkpoint: dsl.Output[dsl.Model],  # noqa: UP006
           sweep: dsl.Output[dsl.Markdown]):
    """The best of the trials' checkpoints by validation AUROC; the table of all shows in the KFP page."""
    from dataclasses import asdict
    from pathlib import Path

    from components.choose.step import run, table

    result = run(checkpoints=tuple(Path(each.path) for each in checkpoints), checkpoint=Path(checkpoint.path))
    checkpoint.metadata.update({"chosen": asdict(result)["chosen"], "scores": list(result.scores)})
    Path(sweep.path).write_text(table(result, trials))
