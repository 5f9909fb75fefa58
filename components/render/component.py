"""render on Kubeflow."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
def render(records: dsl.Input[dsl.Dataset], params: dict, page: dict, seed: int, pages: dsl.Output[dsl.Dataset]):
    """Record store to the frozen evaluation pages."""
    from dataclasses import asdict
    from pathlib import Path

    from components.render.step import run
    from model.params import PageParams, RenderParams
    from model.typed import from_dict

    result = run(records=Path(records.path), pages=Path(pages.path), params=from_dict(RenderParams, params, "render"),
                 page=from_dict(PageParams, page, "page"), seed=seed)
    pages.metadata.update(asdict(result))
