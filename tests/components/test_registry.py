"""The registry says what the steps' `run` takes."""

import inspect
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from components.registry import STEPS, load_run
from ecg.sources.kinds import KINDS
from model.params import IngestParams, Params


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
    assert all(parameters[name].annotation is Path for name in (*step.inputs, step.output))
    assert all(parameters[name].annotation == Path | str for name in step.external)  # a folder, or s3://


def test_every_input_is_made_by_an_earlier_step():
    made = {}
    for step in STEPS.values():
        assert all(made.get(producer) == name for name, producer in step.inputs.items())
        made[step.name] = step.output


def test_an_unknown_step_is_named():
    with pytest.raises(ValueError, match="no step is called 'trian'; there are ingest, "):
        load_run("trian")


def test_the_parameters_know_every_source_and_set():
    known = get_type_hints(IngestParams)
    assert set(get_args(known["source"])) == set(KINDS)
    sets = {name for kind in KINDS.values() for name in kind.label_sets}
    assert set(get_args(known["label_set"])) == {"default", *sets}
