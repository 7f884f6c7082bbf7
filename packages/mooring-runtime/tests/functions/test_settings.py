"""App settings: connections and variables."""

import pytest

from mooring_runtime.functions.problem import FunctionInvalid
from mooring_runtime.functions.settings import AppSettings


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"AzureWebJobsMy": "a", "My": "b"}, "a"),
        ({"my": "b"}, "b"),
        ({"ConnectionStrings__MY": "c"}, "c"),
        ({"ConnectionStrings:My": "d", "My": ""}, "d"),
    ],
)
def test_a_connection_is_looked_up_as_azure_does(settings: dict[str, str], found: str) -> None:
    assert AppSettings(settings).connection("My") == found


def test_the_hosts_own_account_is_the_connection_storage() -> None:
    assert AppSettings({"AzureWebJobsStorage": "x"}).connection("Storage") == "x"


def test_variables_in_paths_are_replaced() -> None:
    assert AppSettings({"Container": "in", "x": "y"}).resolve("%container%/%X%/{a}") == "in/y/{a}"


def test_what_is_missing_is_named() -> None:
    for look in (
        lambda: AppSettings({}).connection("TriggerConnectionString"),
        lambda: AppSettings({}).resolve("%TriggerConnectionString%/{a}"),
    ):
        with pytest.raises(FunctionInvalid, match="TriggerConnectionString") as caught:
            look()
        assert caught.value.code == "SettingMissing"
