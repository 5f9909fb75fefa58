"""An answer as FHIR resources: one DiagnosticReport a page, and an Observation a finding.

Only what R4 and R5 write alike is used, so that one bundle is valid in both. It names no patient: whoever asked knows
whose page it was and adds `subject`. A report is `preliminary` until a physician has read it.
"""

import uuid
from datetime import UTC, datetime

from model.file_reading import pages_of, undecided

SYSTEM = "https://github.com/vizecgnet/findings"
"""Of our own codes: a label's name means what the label scheme of the model says."""
LOINC, INTERPRETATION = "http://loinc.org", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ISSUE_CODES = {"unreadable": "invalid", "no_ecg": "invalid", "fault": "exception"}
LAYOUT = "https://github.com/vizecgnet/page-layout"
"""Of the extension that says how the page was taken to be arranged."""
CAUTION = "Not for diagnosis without a physician."
PARTS = ("probability", "threshold", "calibrated")


def bundle(answer: dict, *, issued: datetime | None = None) -> dict:
    """Return an answer of the reading path as a Bundle of type collection.

    Args:
        answer: of a file, as `FileReading.read` returns it.
        issued: when it was read; now.
    """
    at = (issued or datetime.now(UTC)).isoformat(timespec="seconds")
    entries = []
    for page in pages_of(answer):
        entries += _page(page, answer, at)
    return {"resourceType": "Bundle", "type": "collection", "timestamp": at, "entry": entries}


def layouts(bundle: dict) -> set[str | None]:
    """Return the layouts in which the pages of a bundle were read; None where a report says none."""
    reports = [entry["resource"] for entry in bundle.get("entry", ()) if "result" in entry["resource"]]
    return {next((one["valueCode"] for one in report.get("extension", ()) if one["url"] == LAYOUT), None)
            for report in reports}


def gather(bundles: list[dict]) -> dict:
    """Put the bundles of several files into one."""
    at = max((each["timestamp"] for each in bundles), default=datetime.now(UTC).isoformat(timespec="seconds"))
    whole = {"resourceType": "Bundle", "type": "collection", "timestamp": at}
    entries = [entry for each in bundles for entry in each["entry"]]
    # FHIR has no empty lists: a bundle without entries has none of that name.
    return {**whole, "entry": entries} if entries else whole


def operation_outcome(error: dict) -> dict:
    """Return `{"error", "code"}` as an OperationOutcome."""
    return {"resourceType": "OperationOutcome", "issue": [
        {"severity": "error", "code": ISSUE_CODES[error["code"]], "diagnostics": error["error"]}]}


def _page(page: dict, answer: dict, at: str) -> list[dict]:
    model = {"type": "Device", "display": f"{answer['model']['name']} {answer['version']}",
             "identifier": {"system": "urn:ietf:rfc:6920", "value": f"ni:///sha-256;{answer['model']['digest']}"}}
    findings = page.get("findings", [])
    observations = [_entry(_observation(finding, model, at)) for finding in findings]
    report = {"resourceType": "DiagnosticReport", "status": "preliminary" if findings else "cancelled",
              "category": [_coded(SECTION, "EC", "Electrocardiac (e.g., EKG, EEC, Holter)")],
              "code": _coded(LOINC, "11524-6", "EKG study"), "issued": at,
              "conclusion": _conclusion(page, findings)}
    if layout := page["page"].get("layout"):
        report["extension"] = [{"url": LAYOUT, "valueCode": layout}]
    if observations:
        report["result"] = [{"reference": entry["fullUrl"]} for entry in observations]
    if pictures := page.get("explain"):
        report["presentedForm"] = [{"contentType": "image/png", "data": data, "title": name.removesuffix("_png")}
                                   for name, data in pictures.items() if name.endswith("_png")]
    return [_entry(report), *observations]


def _observation(finding: dict, model: dict, at: str) -> dict:
    meaning = ("POS", "Positive") if finding["present"] else ("NEG", "Negative")
    if undecided(finding):
        meaning = ("IND", "Indeterminate")
    parts = {name: finding[name] for name in PARTS if name in finding}
    return {"resourceType": "Observation", "status": "preliminary",
            "category": [_coded(CATEGORY, "procedure", "Procedure")],
            "code": {**_coded(SYSTEM, finding["label"], finding["label"]), "text": finding["label"]},
            "issued": at, "device": model, "valueBoolean": finding["present"],
            "interpretation": [_coded(INTERPRETATION, *meaning)],
            "component": [{"code": {**_coded(SYSTEM, name, name), "text": name}, "valueQuantity": {
                "value": value, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}}
                for name, value in parts.items()]}


def _conclusion(page: dict, findings: list[dict]) -> str:
    if "error" in page:
        return f"Page {page['page']['number']} was not read: {page['error']}. {CAUTION}"
    present = [f"{finding['label']} ({finding.get('calibrated', finding['probability']):.0%})"
               for finding in findings if finding["present"]]
    said = [f"Found by the model: {', '.join(present) or 'nothing above its thresholds'}."]
    if open_ones := [finding["label"] for finding in findings if undecided(finding)]:
        said.append(f"The page does not decide about: {', '.join(open_ones)}.")
    if warnings := page["page"]["warnings"]:
        said.append(f"Doubtful about the page: {'; '.join(warnings)}.")
    return " ".join([*said, CAUTION])


def _entry(resource: dict) -> dict:
    return {"fullUrl": uuid.uuid4().urn, "resource": resource}


def _coded(system: str, code: str, display: str) -> dict:
    return {"coding": [{"system": system, "code": code, "display": display}]}
