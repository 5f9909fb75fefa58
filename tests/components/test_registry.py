"""The registry says what the steps' `run` takes."""

import inspect
from pathlib import Path

import pytest

from components.registry import STEPS, load_run
from model.params import Params


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_run_takes_what_the_registry_says(step):
    parameters = inspect.signature(load_run(step.name)).parameters
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
    first, *others = step.sections
    expected = {*step.inputs, *step.external, step.output, "params", *others, "seed"}
    assert expected <= parameters.keys()
    assert all(parameters[name].default is not inspect.Parameter.empty for name in parameters.keys() - expected)
    sections = Params.__annotations__
    assert parameters["params"].annotation is sections[first]
    assert all(parameters[name].annotation is sections[name] for name in others)
    assert all(parameters[name].annotation is Path for name in (*step.inputs, *step.external, step.output))


def test_every_input_is_made_by_an_earlier_step():
    made = {}
    for step in STEPS.values():
        assert all(made.get(producer) == name for name, producer in step.inputs.items())
        made[step.name] = step.output


def test_an_unknown_step_is_named():
    with pytest.raises(ValueError, match="no step is called 'trian'; there are ingest, "):
        load_run("trian")
