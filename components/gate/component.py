"""gate on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def gate(evaluation: dsl.Input[dsl.Artifact], checkpoint: dsl.Input[dsl.Model], pages: dsl.Input[dsl.Dataset],
         params: dict, register: dict, tracking: dict, seed: int, decision: dsl.Output[dsl.Artifact]) -> bool:
    """Metrics, and the registry's champion, to one yes or no: a single unnamed value, the only kind on which every
    runner honours dsl.If."""
    import tempfile
    from dataclasses import asdict
    from pathlib import Path

    from components.gate.champion import champion_evaluation
    from components.gate.step import run
    from model.params import GateParams, RegisterParams, TrackingParams
    from model.typed import from_dict

    with tempfile.TemporaryDirectory(prefix="vizecg-champion-") as scratch:
        champion = champion_evaluation(pages=Path(pages.path), scratch=Path(scratch),
                                       name=from_dict(RegisterParams, register, "register").name,
                                       tracking=from_dict(TrackingParams, tracking, "tracking"))
        result = run(evaluation=Path(evaluation.path), checkpoint=Path(checkpoint.path), pages=Path(pages.path),
                     decision=Path(decision.path), params=from_dict(GateParams, params, "gate"), seed=seed,
                     champion=champion)
    decision.metadata.update(asdict(result))
    return result.passed
