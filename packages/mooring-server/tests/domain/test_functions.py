"""Function apps: image references, settings, and what is missing."""

import pytest

from mooring_server.domain.errors import InvalidRequest
from mooring_server.domain.functions import (
    ImageReference,
    check_settings,
    missing,
    missing_for,
    parse_image,
)

DIGEST = "sha256:" + "0" * 64
COMPLETE = {
    "DOCKER_REGISTRY_SERVER_USERNAME": "u",
    "DOCKER_REGISTRY_SERVER_PASSWORD": "p",
    "AzureWebJobsStorage": "s",
}
BLOB = [
    {
        "name": "score",
        "bindings": [
            {"type": "blobTrigger", "path": "%CONTAINER%/{a}", "connection": "TriggerConnectionString"},
            {"type": "blob", "path": "output/{a}", "connection": "TriggerConnectionString"},
        ],
    }
]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (f"127.0.0.1:80/r/package@{DIGEST}", ImageReference("127.0.0.1:80", "r/package", DIGEST)),
        ("DOCKER|Host.local/r/package:20260101", ImageReference("host.local", "r/package", "20260101")),
        ("http://localhost:1/r/p", ImageReference("localhost:1", "r/p", "latest")),
    ],
)
def test_image_references(text: str, reference: ImageReference) -> None:
    assert parse_image(text) == reference


@pytest.mark.parametrize("text", ["", "package:1", "host.x/UPPER:1", "host.x/p@sha256:12", "host.x/p:a b"])
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_image(text)
    assert caught.value.code == "ImageReferenceInvalid"


def test_settings_become_text_and_odd_names_are_refused() -> None:
    assert check_settings({"A_1": None, "B": 2}) == {"A_1": "", "B": "2"}
    with pytest.raises(InvalidRequest, match=r"AppSetting with name\(s\) 'a b' is not allowed"):
        check_settings({"a b": "x"})


def test_an_app_says_all_that_it_lacks() -> None:
    assert [entry.name for entry in missing("", {})] == [
        "image",
        "DOCKER_REGISTRY_SERVER_USERNAME",
        "DOCKER_REGISTRY_SERVER_PASSWORD",
        "AzureWebJobsStorage",
    ]
    assert missing("x", COMPLETE) == []
    assert [entry.name for entry in missing("x", {**COMPLETE, "AzureWebJobsStorage": ""})] == [
        "AzureWebJobsStorage"
    ]


def test_the_settings_that_functions_name_are_missed() -> None:
    assert {entry.name for entry in missing_for(BLOB, COMPLETE)} == {"CONTAINER", "TriggerConnectionString"}
    found = missing_for(BLOB, {"container": "x", "TriggerConectionString": "y"})
    assert [entry.name for entry in found] == ["TriggerConnectionString"]
    assert "There is a setting TriggerConectionString; is it meant?" in found[0].message
    assert missing_for(BLOB, {"container": "x", "AzureWebJobsTriggerConnectionString": "y"}) == []
