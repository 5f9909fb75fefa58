"""gate on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def gate(evaluation: dsl.Input[dsl.Artifact], params: dict, seed: int, decision: dsl.Output[dsl.Artifact]) -> bool:
    """Metrics to one yes or no: a single unnamed value, the only kind on which every runner honours dsl.If."""
    from dataclasses import asdict
    from pathlib import Path

    from components.gate.step import run
    from model.params import GateParams, from_dict

    result = run(evaluation=Path(evaluation.path), decision=Path(decision.path),
                 params=from_dict(GateParams, params, "gate"), seed=seed)
    decision.metadata.update(asdict(result))
    return result.passed
