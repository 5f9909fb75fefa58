"""The pipelines as files: compiled YAML, and the resources of a cluster that keeps pipelines as such."""

import importlib
import re
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from components.images import released, with_references
from ecg.files import write_whole

_CACHED = re.compile(r"cachingOptions:\n +enableCache: true\n")
HEADER = "# Compiled by `vizecg pipeline compile` from {source}: do not edit.\n"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline of this folder: its module and function, and the name that a cluster knows it by."""

    name: str
    display: str

    @property
    def source(self) -> str:
        """Its file, as a person finds it."""
        return f"pipelines/{self.name}.py"

    @property
    def golden(self) -> Path:
        """Where its committed YAML lies."""
        return Path(f"pipelines/{self.name}.yaml")

    def load(self):
        """Import it. Slow: kfp comes along."""
        return getattr(importlib.import_module(f"pipelines.{self.name}"), self.name)


PIPELINES = {name: Pipeline(name, f"vizecgnet-{name.replace('_', '-')}")
             for name in ("training", "batch_predict", "monitor")}


def compile_text(which: str, *, release: bool = False, manifests: bool = False, namespace: str = "",
                 cache: bool = True) -> str:
    """Return a pipeline as YAML, the same bytes wherever and whenever it is compiled.

    Args:
        which: a key of `PIPELINES`.
        release: name the images by the digests of images.lock instead of placeholders.
        manifests: as the Kubernetes resources Pipeline and PipelineVersion, for `kubectl apply`.
        namespace: of those resources.
        cache: False takes no task's result from the cache. kfp's own switch for that, when a run is started, misses
            every task in a loop, a branch or an exit handler: here, all of them.

    Raises:
        ValueError: no such pipeline, or no digests for a release.
    """
    if which not in PIPELINES:
        raise ValueError(f"no pipeline is called {which!r}; there are {', '.join(PIPELINES)}")
    references = released() if release else {}
    text = _compiled(which, manifests, namespace)
    text = text if cache else _CACHED.sub("cachingOptions: {}\n", text)
    return HEADER.format(source=PIPELINES[which].source) + with_references(text, references)


@lru_cache
def _compiled(which: str, manifests: bool, namespace: str) -> str:
    from kfp import compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    pipeline = PIPELINES[which]
    options = {}
    if manifests:
        options = {"kubernetes_manifest_format": True, "kubernetes_manifest_options": KubernetesManifestOptions(
            pipeline_name=pipeline.display, namespace=namespace or None, include_pipeline_manifest=True)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline.load(), str(file), **options)
        return file.read_text()


def compile_pipeline(which: str, out: Path, **options) -> None:
    """Write what `compile_text` returns."""
    write_whole(out, compile_text(which, **options))
