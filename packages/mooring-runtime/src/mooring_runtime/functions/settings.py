"""App settings as Azure's host reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mooring_runtime.functions.problem import FunctionInvalid

_VARIABLE = re.compile(r"%([^%]+)%")


class AppSettings:
    """The app's settings, which are its environment variables as well.

    Names are compared without regard to case, as Azure's configuration does.

    Args:
        variables: name -> value.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = {name.lower(): value for name, value in variables.items()}

    def get(self, name: str) -> str | None:
        """A setting; None if it is missing or empty."""
        return self._variables.get(name.lower()) or None

    def connection(self, name: str) -> str:
        """The connection string that a binding's ``connection`` names.

        It is looked for as ``AzureWebJobs<name>``, ``<name>`` and ``ConnectionStrings:<name>`` (also written with
        ``__``), in this order (WebJobs SDK, ``GetWebJobsConnectionStringSection``).

        Raises:
            FunctionInvalid: ``SettingMissing``.
        """
        for tried in connection_names(name):
            value = self.get(tried)
            if value is not None:
                return value
        raise FunctionInvalid(
            "SettingMissing",
            f"The app setting {name} with a connection string is missing.",
            f"Set it: mooring functionapp config appsettings set --settings '{name}=<connection string>'.",
        )

    def resolve(self, text: str) -> str:
        """``text`` with each ``%NAME%`` replaced by the setting of that name.

        Raises:
            FunctionInvalid: ``SettingMissing``.
        """

        def value(match: re.Match[str]) -> str:
            found = self.get(match[1])
            if found is None:
                raise FunctionInvalid(
                    "SettingMissing",
                    f"The app setting {match[1]}, which {text!r} names, is missing.",
                    f"Set it: mooring functionapp config appsettings set --settings '{match[1]}=...'.",
                )
            return found

        return _VARIABLE.sub(value, text)


def connection_names(name: str) -> tuple[str, ...]:
    """The settings in which the connection string ``name`` is looked for, in this order."""
    return (f"AzureWebJobs{name}", name, f"ConnectionStrings:{name}", f"ConnectionStrings__{name}")
