"""Shared access signatures: account SAS and service SAS, signed with an account's key.

Source: "Create an account SAS" and "Create a service SAS" of Azure's REST reference. Stored access policies
(``si``) and user delegation (``skoid``) are not served.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from datetime import datetime, timezone

from mooring_server.domain.storage.access import Access
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.request import StorageRequest
from mooring_server.domain.storage.sharedkey import sign

# By these versions fields were added to what is signed.
_SCOPES, _RESOURCES, _OLDEST = "2020-12-06", "2018-11-09", "2015-04-05"
_TIMES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z")
_OVERRIDES = ("rscc", "rscd", "rsce", "rscl", "rsct")


def check(request: StorageRequest, keys: Sequence[bytes], now: datetime) -> Access:
    """What the signature in the query grants.

    Raises:
        StorageError: ``AuthenticationFailed`` for a signature that is wrong, expired or of a kind that is not served,
            ``AuthorizationServiceMismatch``, ``AuthorizationSourceIPMismatch``, ``AuthorizationProtocolMismatch``.
    """
    arg = _Args(request)
    if arg("skoid") or arg("si"):
        kind = "User delegation keys" if arg("skoid") else "Stored access policies"
        raise _failed(
            f"{kind} are not served; sign with an account key, and give permissions and times in the SAS."
        )
    version = arg("sv")
    if not _OLDEST <= version <= "9999":
        raise _failed(f"The signed version sv={version[:20]!r} is not served; the oldest is {_OLDEST}.")
    account_sas = bool(arg("ss"))
    text = _account_string(arg, version) if account_sas else _service_string(arg, version)
    offered = arg("sig").encode("utf-8", "surrogatepass")
    # All are always compared, so that time tells nothing.
    matches = [hmac.compare_digest(offered, sign(key, text).encode()) for key in keys]
    if not any(matches):
        raise _failed(f"Signature did not match. String to sign used was {text}")
    _check_times(arg, now)
    _check_address(arg("sip"), request.address)
    if arg("spr") == "https" and request.scheme != "https":
        raise StorageError("AuthorizationProtocolMismatch")
    if account_sas:
        if request.service[0] not in arg("ss"):
            raise StorageError("AuthorizationServiceMismatch")
        return Access(arg("sp"), levels=arg("srt"))
    container, _, blob = request.resource.partition("/")
    if request.service == "queue" or arg("sr") == "c":
        return Access(arg("sp"), container=container)
    return Access(arg("sp"), container=container, blob=blob)


class _Args:
    def __init__(self, request: StorageRequest) -> None:
        self.request = request

    def __call__(self, name: str) -> str:
        return self.request.arg(name) or ""


def _account_string(arg: _Args, version: str) -> str:
    names = ["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]
    if version >= _SCOPES:
        names.append("ses")
    return "\n".join([arg.request.account, *map(arg, names), ""])


def _service_string(arg: _Args, version: str) -> str:
    request = arg.request
    container, _, blob = request.resource.partition("/")
    fields = [arg("sp"), arg("st"), arg("se")]
    if request.service == "queue":
        fields += [f"/queue/{request.account}/{container}", "", arg("sip"), arg("spr"), version]
        return "\n".join(fields)
    if arg("sr") not in {"b", "c"}:
        raise _failed(
            f"The signed resource sr={arg('sr')[:10]!r} is not served; containers (c) and blobs (b) are."
        )
    path = f"{container}/{blob}" if arg("sr") == "b" else container
    fields += [f"/blob/{request.account}/{path}", "", arg("sip"), arg("spr"), version]
    if version >= _RESOURCES:
        fields += [arg("sr"), ""]
    if version >= _SCOPES:
        fields.append(arg("ses"))
    return "\n".join([*fields, *map(arg, _OVERRIDES)])


def _check_times(arg: _Args, now: datetime) -> None:
    start, expiry = _time(arg("st")), _time(arg("se"))
    if expiry is None:
        raise _failed("se is missing: the signature has no expiry.")
    if now >= expiry or (start is not None and now < start):
        shown = " - ".join(
            f"{name} [{time:%a, %d %b %Y %H:%M:%S} GMT]"
            for name, time in (("Start", start), ("Expiry", expiry), ("Current", now))
            if time is not None
        )
        raise _failed(f"Signature not valid in the specified time frame: {shown}")


def _time(text: str) -> datetime | None:
    for form in _TIMES if text else ():
        try:
            found = datetime.strptime(text, form)  # noqa: DTZ007 - given its zone in the next line
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    if text:
        raise _failed(f"{text[:40]!r} is not a time as a SAS has it.")
    return None


def _check_address(allowed: str, address: str) -> None:
    if not allowed:
        return
    first, _, last = allowed.partition("-")
    try:
        low, here, high = (ipaddress.ip_address(x) for x in (first, address, last or first))
        inside = low.version == here.version == high.version and int(low) <= int(here) <= int(high)
    except ValueError:
        inside = False
    if not inside:
        raise StorageError("AuthorizationSourceIPMismatch", SourceIP=address)


def _failed(detail: str) -> StorageError:
    return StorageError("AuthenticationFailed", AuthenticationErrorDetail=detail)
