"""SNOMED-CT statements of the CinC challenges of 2020 and 2021 (Perez Alday et al. 2020, Reyna et al. 2021).

`snomed.json` holds the challenges' own tables: the scored diagnoses, the others that occur in the training sets, and
which codes are scored as the same diagnosis.
"""

import json
from functools import cache
from pathlib import Path

from ecg.labels import LabelScheme

SNOMED_SETS = ("scored", "cpsc2018", "all")
"""`scored`: the 26 classes of the challenge of 2021; `cpsc2018`: the nine of the China Physiological Signal Challenge;
`all`: every statement of the tables."""

CPSC2018 = {"426783006": "NSR", "164889003": "AF", "270492004": "IAVB", "164909002": "LBBB", "733534002": "LBBB",
            "59118001": "RBBB", "713427006": "RBBB", "284470004": "PAC", "63593006": "PAC", "164884008": "PVC",
            "427172004": "PVC", "17338001": "PVC", "429622005": "STD", "164931005": "STE"}
"""CPSC 2018's nine, in its order. Its premature ventricular beats stand as ventricular ectopics, 164884008, in the
challenges' headers; the other sets' codes of the same findings count too."""


@cache
def tables() -> dict:
    """The challenges' tables: `scored` and `unscored`, rows of (code, abbreviation, name), and `same`, code to code."""
    return json.loads(Path(__file__).with_name("snomed.json").read_text())


def snomed_scheme(label_set: str) -> LabelScheme:
    """Return one of `SNOMED_SETS`; findings are named by the challenges' abbreviations.

    Equivalent codes share the finding of the more common one: CRBBB counts as RBBB, CLBBB as LBBB, SVPB as PAC, VPB
    as PVC. Statements of the tables that the set does not score are known and give no finding.
    """
    table = tables()
    abbreviation = {code: name for code, name, _ in (*table["scored"], *table["unscored"])}
    if label_set == "cpsc2018":
        findings = {code: CPSC2018.get(code, "") for code in abbreviation}
        return LabelScheme(tuple(dict.fromkeys(CPSC2018.values())), findings)
    counted = {code for code, *_ in table["scored"]} if label_set == "scored" else abbreviation.keys()
    findings = {code: abbreviation[table["same"].get(code, code)] if code in counted else "" for code in abbreviation}
    return LabelScheme(tuple(dict.fromkeys(filter(None, findings.values()))), findings)
