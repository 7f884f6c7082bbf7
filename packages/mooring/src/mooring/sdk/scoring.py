"""Calling a deployed service: one kept connection, keys fetched when they are needed."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mooring.sdk.errors import invalid
from mooring.sdk.exceptions import WebserviceException
from mooring.sdk.http import http_client

if TYPE_CHECKING:
    import httpx

SCORING_TIMEOUT_SECONDS = 300.0


class Scorer:
    """The data plane of one service; the control plane is asked for keys only.

    Args:
        name: of the service, for messages.
        keys: gives the primary key; called before the first call and once again when it was not accepted.
    """

    def __init__(self, name: str, keys: Callable[[], str]) -> None:
        self._name = name
        self._keys = keys
        self._key: str | None = None
        self._client: httpx.Client | None = None

    def run(self, scoring_uri: str, input_data: Any, *, auth: bool) -> Any:
        """POST and decode.

        Args:
            scoring_uri: where.
            input_data: text or bytes, sent as it is.
            auth: whether to send the key.

        Returns:
            The decoded JSON answer; text that is no JSON as it is.

        Raises:
            WebserviceException: any other status than 200 (status, headers and body are in the message), or
            no
                answer.
        """
        if not isinstance(input_data, (str, bytes, bytearray)):
            raise invalid(
                f"The input is of type {type(input_data).__name__}; text or bytes were expected.",
                code="InvalidInput",
                hint="Encode it first: json.dumps(input_data).",
            )
        content = input_data.encode("utf-8") if isinstance(input_data, str) else bytes(input_data)
        response = self._post(scoring_uri, content, auth)
        if response.status_code == 401 and auth:
            self._key = None
            response = self._post(scoring_uri, content, auth)
        if response.status_code != 200:
            raise self._error(response)
        try:
            return json.loads(response.content)
        except ValueError:
            return response.text

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _post(self, uri: str, content: bytes, auth: bool) -> httpx.Response:
        import httpx

        if self._client is None:
            self._client = http_client(uri)
            # Nobody closes a Webservice; its socket goes with it.
            weakref.finalize(self, self._client.close)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if auth:
            if self._key is None:
                self._key = self._keys()
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            return self._client.post(uri, content=content, headers=headers, timeout=SCORING_TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            exc = WebserviceException(f"The service {self._name} at {uri} does not answer: {error}")
            raise exc.explain(
                "ServiceUnreachable",
                "Run",
                f"See its state with service.update_deployment_state(), its logs with service.get_logs() or: "
                f"mooring service get-logs -n {self._name}",
            ) from error

    def _error(self, response: httpx.Response) -> WebserviceException:
        exc = WebserviceException(
            f"The service {self._name} answered with status {response.status_code}.\n"
            f"Response Code: {response.status_code}\n"
            f"Headers: {dict(response.headers)}\n"
            f"Content: {response.text[:20000]}",
            status_code=response.status_code,
        )
        if response.headers.get("x-ms-run-function-failed", "").lower() == "true":
            hint = "run() of the entry script failed; its traceback is in service.get_logs()."
        elif response.status_code in {401, 403}:
            hint = "The key was not accepted; service.get_keys() gives the ones that are."
        else:
            hint = "service.get_logs() shows what the service saw."
        exc.explain("ScoringFailed", "Run", hint)
        return exc
