"""Write what this environment consists of as a CycloneDX document: `python tools/sbom.py FILE`.

The standard library alone, so that it runs in any image, and no time in it, so that equal images have equal files.
"""

import json
import sys
from importlib import metadata
from pathlib import Path


def sbom() -> dict:
    """Return the document: each installed distribution with its version, licence and package address."""
    found = {each.metadata["Name"].lower(): _component(each) for each in metadata.distributions()
             if each.metadata["Name"]}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": {"type": "application", "name": "vizecgnet"}},
            "components": [found[name] for name in sorted(found)]}


def _component(distribution: metadata.Distribution) -> dict:
    about = distribution.metadata
    name, licence = about["Name"], about["License-Expression"] or _classified(about.get_all("Classifier") or [])
    return {"type": "library", "name": name, "version": distribution.version,
            "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{distribution.version}",
            **({"licenses": [{"license": {"name": licence}}]} if licence else {})}


def _classified(classifiers: list[str]) -> str:
    named = [text.rsplit(" :: ", 1)[1] for text in classifiers if text.startswith("License :: ")]
    return " AND ".join(named)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(sbom(), indent=1) + "\n")
