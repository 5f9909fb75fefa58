"""A compiled pipeline as a picture: what the YAML says, not what somebody remembers of it."""

import html
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ecg.files import write_whole
from pipelines.compiled import compile_text

COLUMN, ROW, WIDE, HIGH, EDGE, DIP = 190, 64, 150, 34, 30, 12
"""Pixels: of the columns and rows, of a task, of the margin, and how far a line dips for each task that it passes."""
BRANCH = {"for-loop": "for each", "condition": "if", "exit-handler": "always"}


@dataclass
class Graph:
    """Tasks with the groups that they lie in, and what each needs."""

    tasks: dict[str, str] = field(default_factory=dict)
    """The caption of the innermost loop or branch around each task; empty for none."""
    edges: set[tuple[str, str]] = field(default_factory=set)


def graph_of(spec: dict) -> Graph:
    """Return the tasks of a compiled pipeline: loops and branches are unfolded, the edges lead from task to task."""
    graph = Graph()
    _walk(spec, spec["root"]["dag"], graph, caption="", given={})
    return graph


def _walk(spec: dict, dag: dict, graph: Graph, *, caption: str, given: dict) -> None:
    ends: dict[tuple[str, str], str] = {}
    order = sorted(dag["tasks"], key=lambda name: _depth(dag["tasks"], name))
    for name in order:
        task = dag["tasks"][name]
        component = spec["components"][task["componentRef"]["name"]]
        sources = _sources(task, given, ends, dag, spec)
        if "dag" in component:
            _walk(spec, component["dag"], graph, caption=_caption(task, name) or caption, given=sources)
            continue
        graph.tasks[name] = caption
        graph.edges |= {(source, name) for source in sources.values() if source}


def _sources(task: dict, given: dict, ends: dict, dag: dict, spec: dict) -> dict[str, str]:
    """For each input, and for the values that a branch hangs on, the task that makes it."""
    found = {}
    inputs = task.get("inputs", {})
    for kind, made in (("artifacts", "taskOutputArtifact"), ("parameters", "taskOutputParameter")):
        for key, source in inputs.get(kind, {}).items():
            if made in source:
                found[key] = _maker(source[made], dag, spec)
            else:
                found[key] = given.get(source.get(f"componentInput{kind[:-1].capitalize()}"), "")
    status = [source["taskFinalStatus"]["producerTask"] for source in inputs.get("parameters", {}).values()
              if "taskFinalStatus" in source]
    return {**found, **{f"status {name}": "" for name in status}}


def _maker(output: dict, dag: dict, spec: dict) -> str:
    """Follow an output into loops and branches, down to the task that writes it."""
    name = output["producerTask"]
    component = spec["components"][dag["tasks"][name]["componentRef"]["name"]]
    if "dag" not in component:
        return name
    key = output.get("outputArtifactKey") or output["outputParameterKey"]
    declared = component["dag"]["outputs"]
    kind = declared.get("artifacts", {}).get(key) or declared["parameters"][key]
    selector = (kind.get("artifactSelectors") or [kind.get("valueFromParameter")])[0]
    return _maker({"producerTask": selector["producerSubtask"],
                   "outputArtifactKey": selector.get("outputArtifactKey") or selector.get("outputParameterKey")},
                  component["dag"], spec)


def _caption(task: dict, name: str) -> str:
    kind = next((kind for kind in BRANCH if name.startswith(kind)), "")
    said = task.get("taskInfo", {}).get("name", name)
    return "" if kind in ("", "exit-handler") or name.startswith("condition-branches") else f"{BRANCH[kind]} {said}"


def _depth(tasks: dict, name: str) -> int:
    return 1 + max((_depth(tasks, needed) for needed in tasks[name].get("dependentTasks", [])), default=0)


def mermaid(graph: Graph) -> str:
    """Return the graph in Mermaid, which GitHub and GitLab draw."""
    lines = ["flowchart LR"]
    for number, caption in enumerate(dict.fromkeys(graph.tasks.values())):
        inside = [f"    {name}[{name}]" for name, group in graph.tasks.items() if group == caption]
        lines += [f'  subgraph g{number}["{caption}"]', *inside, "  end"] if caption else [line[2:] for line in inside]
    return "\n".join([*lines, *(f"  {a} --> {b}" for a, b in sorted(graph.edges))]) + "\n"


def svg(graph: Graph) -> str:
    """Return the graph as SVG: a column for each step away from the beginning."""
    columns: dict[int, list[str]] = {}
    for name in graph.tasks:
        columns.setdefault(_longest(graph, name), []).append(name)
    place = {name: (EDGE + column * COLUMN, EDGE + row * ROW) for column, names in columns.items()
             for row, name in enumerate(names)}
    width = EDGE + (max(columns) + 1) * COLUMN
    height = EDGE + max(map(len, columns.values())) * ROW + DIP * max(columns)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        *(_line(place[a], place[b]) for a, b in sorted(graph.edges)),
        *(_box(name, graph.tasks[name], *place[name]) for name in graph.tasks), "</svg>"]) + "\n"


def _longest(graph: Graph, name: str) -> int:
    return max((1 + _longest(graph, a) for a, b in graph.edges if b == name), default=0)


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    """A line that leads below the tasks that it passes."""
    (x1, y1), (x2, y2) = (start[0] + WIDE, start[1] + HIGH // 2), (end[0], end[1] + HIGH // 2)
    passed = (end[0] - start[0]) // COLUMN - 1
    dip, bend = (ROW + 2 * DIP * passed, 60) if passed else (0, (x2 - x1) // 2)
    return (f'<path d="M{x1} {y1} C{x1 + bend} {y1 + dip} {x2 - bend} {y2 + dip} {x2} {y2}" fill="none" '
            'stroke="#9aa" stroke-width="1.2"/>')


def _box(name: str, caption: str, x: int, y: int) -> str:
    above = f'<text x="{x}" y="{y - 5}" font-size="10" fill="#667">{html.escape(caption)}</text>' if caption else ""
    return (f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="6" fill="{"#e8f0fa" if caption else "#eef6ee"}" '
            f'stroke="#456"/><text x="{x + WIDE // 2}" y="{y + 22}" text-anchor="middle">{html.escape(name)}</text>'
            f"{above}")


def draw(which: str, out: Path) -> None:
    """Write a pipeline as SVG, or as Mermaid when the file's name ends in .mmd.

    Raises:
        ValueError: no such pipeline, or another ending.
    """
    kinds = {".svg": svg, ".mmd": mermaid}
    if out.suffix not in kinds:
        raise ValueError(f"{out}: name it .svg or .mmd")
    spec = next(yaml.safe_load_all(compile_text(which)))
    write_whole(out, kinds[out.suffix](graph_of(spec)))
