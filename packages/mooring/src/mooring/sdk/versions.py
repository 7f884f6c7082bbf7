"""Which servers this client understands."""

from __future__ import annotations

import mooring
from mooring.sdk.errors import user_error
from mooring.sdk.exceptions import UserErrorException

# The version of the native API, which a server tells in `/livez` and in the header of every answer.
API = "1"
API_HEADER = "Mooring-Api"
VERSION_HEADER = "Mooring-Version"


def other_version(endpoint: str, version: str, api: str, *, local: bool) -> UserErrorException:
    """The error for a server whose API is another one."""
    hint = (
        "Restart it with the version that is installed here: mooring down && mooring up (services go on)."
        if local
        else f'Install the client of that version (pip install "mooring=={version}"), or have the server upgraded.'
    )
    return user_error(
        f"The Mooring server at {endpoint} is version {version} (API {api}); "
        f"this client is {mooring.__version__} (API {API}).",
        code="ServerVersion",
        hint=hint,
    )
