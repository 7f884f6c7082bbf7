from typing import Any

import pytest

from mooring_server.domain.errors import InvalidRequest
from mooring_server.domain.names import check_name
from mooring_server.domain.servicebus import QueueSettings, check_rights


def test_the_defaults_are_azures() -> None:
    fields = QueueSettings().to_json()
    assert fields["lockDuration"] == "PT1M"
    assert fields["maxDeliveryCount"] == 10
    assert fields["defaultMessageTimeToLive"] == "P10675199DT2H48M5.4775807S"
    assert fields["deadLetteringOnMessageExpiration"] is False


def test_settings_survive_their_json() -> None:
    changed = QueueSettings().changed(
        {"lockDuration": "PT5S", "maxDeliveryCount": 3, "deadLetteringOnMessageExpiration": True}
    )
    assert changed == QueueSettings(lock_seconds=5, max_delivery_count=3, dead_letter_expired=True)
    assert QueueSettings().changed(changed.to_json()) == changed
    assert changed.changed({"maxDeliveryCount": None, "lockDuration": "PT1M"}).max_delivery_count == 3


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"lockDuration": "PT6M"}, "QueueSettingInvalid"),
        ({"lockDuration": "PT0S"}, "QueueSettingInvalid"),
        ({"maxDeliveryCount": 0}, "QueueSettingInvalid"),
        ({"maxSizeInMegabytes": 0}, "QueueSettingInvalid"),
        ({"lockDuration": "a minute"}, "DurationInvalid"),
        ({"requiresSession": True}, "QueueFeatureNotSupported"),
        ({"requiresDuplicateDetection": True}, "QueueFeatureNotSupported"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        QueueSettings().changed(fields)
    assert caught.value.code == code
    assert caught.value.target == next(iter(fields))


def test_rights_are_in_azures_order_and_manage_has_all() -> None:
    assert check_rights(["Send", "Listen", "Send"]) == ["Listen", "Send"]
    assert check_rights(["Send", "Manage", "Listen"]) == ["Listen", "Manage", "Send"]
    for wrong in ([], ["Own"], ["Manage"], ["Manage", "Send"]):
        with pytest.raises(InvalidRequest) as caught:
            check_rights(wrong)
        assert caught.value.code == "RightsInvalid"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("Service Bus namespace", "hello-1", ["short", "1namespace", "ends-with-", "names-sb", "x" * 51]),
        ("queue", "my.Input_queue-1", ["", ".x", "x.", "a/b", "a$b", "x" * 261]),
        ("authorization rule", "sendOnly", ["", "-x", "x" * 51]),
    ],
)
def test_names(kind: str, good: str, bad: list[str]) -> None:
    assert check_name(kind, good) == good
    for name in bad:
        with pytest.raises(InvalidRequest):
            check_name(kind, name)
