"""Compute type -> class."""

from __future__ import annotations

from typing import Any

from mooring.sdk.webservice import Webservice


class UnknownWebservice(Webservice):
    """A service of a compute type that this version of the SDK does not know."""

    def run(self, input: Any) -> Any:  # noqa: A002 - Azure's name
        """Score, as any web service."""
        return super().run(input)


def class_of(compute_type: str) -> type[Webservice]:
    """The class for a compute type as the server writes it."""
    from mooring.sdk.aci import AciWebservice
    from mooring.sdk.aks import AksEndpoint, AksWebservice
    from mooring.sdk.local import LocalWebservice

    kinds: dict[str, type[Webservice]] = {
        "ACI": AciWebservice,
        "AKS": AksWebservice,
        "AKSENDPOINT": AksEndpoint,
        "LOCAL": LocalWebservice,
    }
    return kinds.get(compute_type.upper(), UnknownWebservice)
