"""The drawn DAG is the compiled one: every task, every artifact's way, loops and branches named."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from components.registry import HELPERS, STEPS
from pipelines.draw import draw, graph_of, mermaid, svg

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def graph():
    return graph_of(next(yaml.safe_load_all((ROOT / "pipelines" / "training.yaml").read_text())))


def test_every_task_is_there_with_its_loop_or_branch(graph):
    assert graph.tasks.keys() == {*STEPS, *HELPERS}
    assert {graph.tasks[name] for name in ("package", "register", "deploy")} == {"if gate-passed"}
    assert graph.tasks["notify-refused"] == "if gate-refused" and graph.tasks["train"] == "for each trials"
    assert graph.tasks["read-capture"] == "for each captures" and graph.tasks["gate"] == ""


def test_the_edges_are_those_of_the_registry_through_the_helpers(graph):
    through = {"train": "choose", "ingest": "merge-shards"}
    wanted = {(through.get(producer, producer), name) for name, step in STEPS.items()
              for producer in step.inputs.values()}
    assert wanted <= graph.edges
    assert {("train", "choose"), ("ingest", "merge-shards"), ("read-capture", "evaluate"),
            ("gate", "notify-refused")} <= graph.edges


def test_both_pictures_show_all_of_it(graph):
    picture = ElementTree.fromstring(svg(graph))
    texts = {element.text for element in picture.iter() if element.tag.endswith("text")}
    assert set(graph.tasks) <= texts
    lines = mermaid(graph).splitlines()
    assert lines[0] == "flowchart LR" and "  gate --> notify-refused" in lines
    assert sum("-->" in line for line in lines) == len(graph.edges)


def test_the_docs_show_what_is_compiled(graph):
    assert (ROOT / "docs" / "training.svg").read_text() == svg(graph), "vizecg pipeline draw --out docs/training.svg"


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match="name it .svg or .mmd"):
        draw("training", tmp_path / "dag.png")
