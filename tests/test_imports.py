"""Imports go one way: ecg, model, serving, components, pipelines, each using those to its left."""

import ast
from pathlib import Path

import pytest

from components.registry import STEPS

ROOT = Path(__file__).resolve().parents[1]
OURS = ("ecg", "model", "serving", "components", "pipelines", "benchmarks")
SHARED_BY_STEPS = ("components.tracking", "components.lineage", "components.progress", "components.moves",
                   "components.s3", "components.versions")
MAY_SERVE = ("package", "deploy")
OTHER_TASKS = ("notify", "choose", "scans")
"""Folders of tasks that are no step: of the training pipeline alone, or of the other pipelines."""
CALLS = {"monitor_component.py": {"components.monitor"}}
"""Components whose work is a verb's and has no folder."""
ALLOWED = {"ecg": ("ecg",), "model": ("ecg", "model"), "serving": ("ecg", "model", "serving"),
           "components": ("ecg", "model", "serving", "components"),
           "pipelines": ("ecg", "model", "serving", "components", "pipelines")}
FORBIDDEN = {"ecg": ("torch", "kfp", "mlflow", "dvc", "ts"), "model": ("kfp", "mlflow", "dvc", "ts"),
             "serving": ("kfp", "mlflow", "dvc"), "components": ("dvc",), "pipelines": ("dvc", "torch", "ts")}


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """The modules that a file imports: anywhere, or only when it is itself imported."""
    tree = ast.parse(path.read_text())
    nodes = _outside_functions(tree) if top_level else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} if node.module != "components" else {f"components.{a.name}" for a in node.names}
    return found


def _outside_functions(node):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _outside_functions(child)


def files(pattern: str) -> list:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in sorted(ROOT.glob(pattern))]


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", [p for package in ALLOWED for p in files(f"{package}/**/*.py")])
def test_a_package_uses_only_those_to_its_left(path):
    package = path.relative_to(ROOT).parts[0]
    found = imports(path)
    strays = {m for m in found if within(m, OURS) and not within(m, ALLOWED[package])}
    assert not strays
    assert not {m for m in found if within(m, FORBIDDEN[package])}


@pytest.mark.parametrize("path", [p for step in (*STEPS, "notify", "choose") for p in files(f"components/{step}/*.py")
                                  if not p.values[0].name.endswith("component.py")])
def test_a_step_uses_its_own_folder_and_what_steps_share(path):
    step = path.parent.name
    allowed = ("ecg", "model", f"components.{step}", *SHARED_BY_STEPS, *(("serving",) if step in MAY_SERVE else ()))
    found = imports(path)
    assert not {m for m in found if within(m, OURS) and not within(m, allowed)}
    assert "kfp" not in {m.split(".")[0] for m in found}


@pytest.mark.parametrize("path", files("components/*/*component.py"))
def test_a_component_only_translates(path):
    assert imports(path, top_level=True) <= {"kfp", "typing", "components.images"}
    body = {m for m in imports(path) if within(m, OURS)} - {"components.images", "model.params", "model.typed"}
    own = f"components.{path.parent.name}"
    assert body and (all(within(m, (own,)) for m in body) or body == CALLS.get(path.name))
    assert len(path.read_text().splitlines()) <= 40


def test_every_step_has_its_component():
    assert {p.values[0].parent.name for p in files("components/*/component.py")} == {*STEPS, *OTHER_TASKS}


def test_the_rules_would_be_noticed(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import torch.nn\nfrom components import tracking\n\ndef f():\n    import kfp\n")
    assert imports(path) == {"torch.nn", "components.tracking", "kfp"}
    assert imports(path, top_level=True) == {"torch.nn", "components.tracking"}
