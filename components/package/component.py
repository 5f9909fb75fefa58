"""package on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def package(checkpoint: dsl.Input[dsl.Model], pages: dsl.Input[dsl.Dataset], evaluation: dsl.Input[dsl.Artifact],
            decision: dsl.Input[dsl.Artifact], params: dict, seed: int, package: dsl.Output[dsl.Model]):
    """Checkpoint to the exported model and its archive."""
    from dataclasses import asdict
    from pathlib import Path

    from components.package.step import run
    from model.params import PackageParams
    from model.typed import from_dict

    result = run(checkpoint=Path(checkpoint.path), pages=Path(pages.path), evaluation=Path(evaluation.path),
                 decision=Path(decision.path), package=Path(package.path),
                 params=from_dict(PackageParams, params, "package"), seed=seed)
    package.metadata.update(asdict(result))
