"""FHIR: every bundle is valid in R4 (as R4B) and in R5, and says what the answer says."""

import pytest
from fhir.resources.bundle import Bundle as BundleR5
from fhir.resources.operationoutcome import OperationOutcome as OutcomeR5
from fhir.resources.R4B.bundle import Bundle as BundleR4B
from fhir.resources.R4B.operationoutcome import OperationOutcome as OutcomeR4B

from serving.fhir import bundle, gather, layouts, operation_outcome

MODEL = {"name": "vizecgnet", "digest": "ab" * 32, "gate": {"passed": True}}
FOUND = {"number": 1, "of": 1, "warnings": []}


def page(**changes):
    findings = [{"label": "AFIB", "probability": 0.91, "threshold": 0.4, "present": True},
                {"label": "NORM", "probability": 0.03, "threshold": 0.5, "present": False}]
    return {"findings": findings, "page": FOUND, "model": MODEL, "version": "1a2b", **changes}


SEVERAL = {"pages": [page(), {"error": "no ECG grid here", "code": "no_ecg", "page": {"number": 2, "of": 2}}],
           "model": MODEL, "version": "1a2b"}
CERTAIN = page(findings=[{"label": "AFIB", "probability": 0.91, "threshold": 0.4, "present": True, "calibrated": 0.8,
                          "calibrated_threshold": 0.3, "plausible": ["present", "absent"]}], coverage=0.9)


@pytest.mark.parametrize("kind", [BundleR4B, BundleR5], ids=["R4B", "R5"])
@pytest.mark.parametrize("answer", [page(), SEVERAL, page(page={**FOUND, "warnings": ["creased"]}), CERTAIN,
                                    page(explain={"page_png": "iVBORw0KGgo="})],
                         ids=["page", "several", "doubtful", "certain", "pictures"])
def test_every_bundle_is_valid_fhir(kind, answer):
    kind.model_validate(bundle(answer))
    kind.model_validate(gather([bundle(answer), bundle(page())]))


@pytest.mark.parametrize("kind", [OutcomeR4B, OutcomeR5], ids=["R4B", "R5"])
@pytest.mark.parametrize("code", ["unreadable", "no_ecg", "fault"])
def test_every_error_is_a_valid_outcome(kind, code):
    outcome = operation_outcome({"error": "no page", "code": code})
    kind.model_validate(outcome)
    assert outcome["issue"][0]["diagnostics"] == "no page"


def test_a_report_says_the_layout_that_its_page_was_read_in():
    two = {**SEVERAL, "pages": [page(page={**FOUND, "layout": "6x2"}), *SEVERAL["pages"]]}
    for kind in (BundleR4B, BundleR5):
        kind.model_validate(bundle(two))
    assert layouts(bundle(two)) == {"6x2", None} and layouts(gather([])) == set()


def test_nothing_read_is_an_empty_bundle():
    BundleR5.model_validate(gather([]))


def test_a_report_refers_to_the_findings_and_says_who_may_trust_it():
    report, *observations = bundle(page())["entry"]
    assert [entry["reference"] for entry in report["resource"]["result"]] == [o["fullUrl"] for o in observations]
    assert report["resource"]["status"] == "preliminary" and "subject" not in report["resource"]
    assert report["resource"]["conclusion"] == \
        "Found by the model: AFIB (91%). Not for diagnosis without a physician."
    afib = observations[0]["resource"]
    assert afib["valueBoolean"] is True and afib["interpretation"][0]["coding"][0]["code"] == "POS"
    assert [part["valueQuantity"]["value"] for part in afib["component"]] == [0.91, 0.4]


def test_a_page_that_was_not_read_has_a_cancelled_report_with_its_reason():
    reports = [entry["resource"] for entry in bundle(SEVERAL)["entry"]
               if entry["resource"]["resourceType"] == "DiagnosticReport"]
    assert [report["status"] for report in reports] == ["preliminary", "cancelled"]
    assert "Page 2 was not read: no ECG grid here" in reports[1]["conclusion"]


def test_what_the_page_does_not_decide_is_said():
    report, afib = (entry["resource"] for entry in bundle(CERTAIN)["entry"])
    assert "AFIB (80%)" in report["conclusion"] and "The page does not decide about: AFIB." in report["conclusion"]
    assert afib["interpretation"][0]["coding"][0]["code"] == "IND" and len(afib["component"]) == 3
