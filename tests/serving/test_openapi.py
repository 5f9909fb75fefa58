"""The OpenAPI document: valid, its references lead somewhere, and it names what the handler and the client use."""

from pathlib import Path

import yaml
from openapi_spec_validator import validate

from ecg.paper.layout import LAYOUTS
from serving import front, handler
from serving.client import DEFAULT_NAME

DOCS = Path(__file__).parents[2] / "docs"
SPEC = yaml.safe_load((DOCS / "openapi.yaml").read_text())


def test_the_document_is_valid_openapi():
    validate(SPEC, base_uri=(DOCS / "openapi.yaml").as_uri())


def test_it_says_what_the_handler_takes_and_gives():
    parts = SPEC["components"]
    assert set(parts["parameters"]["explain"]["schema"]["enum"]) == {*handler.YES, *handler.NO} - {""}
    assert parts["parameters"]["format"]["schema"]["enum"] == list(handler.FORMATS)
    assert parts["parameters"]["layout"]["schema"]["enum"] == list(LAYOUTS)
    assert set(parts["responses"]["answer"]["content"]) == set(handler.FORMATS.values())
    assert {str(handler.UNREADABLE), str(handler.OUR_FAULT)} <= set(
        SPEC["paths"]["/predictions/{model}"]["post"]["responses"])
    form = parts["requestBodies"]["file"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert all(form[name] == parts["parameters"][name]["schema"] for name in front.PASSED_ON)
    assert parts["parameters"]["model"]["example"] == DEFAULT_NAME
    schema = DOCS / parts["responses"]["answer"]["content"]["application/json"]["schema"]["$ref"]
    assert schema.resolve().is_file()


def test_it_names_every_address_of_the_front():
    routes = {route.path for route in front.make_front(None, "{model}", token=str).routes}
    states = SPEC["components"]["responses"]["state"]["content"]["application/json"]["schema"]["properties"]["state"]
    assert routes <= SPEC["paths"].keys()
    assert {front.DOWN, front.UP, front.LOADED, front.READY} < set(states["enum"])
