"""ResourceConfiguration: what a model needs to run, registered with it."""

from __future__ import annotations

from mooring.sdk.names import check_positive
from mooring.sdk.types import JSON


class ResourceConfiguration:
    """CPU cores, memory in GB and GPUs.

    Args:
        cpu: cores, may be a fraction.
        memory_in_gb: gigabytes, may be a fraction.
        gpu: number of GPUs.
    """

    def __init__(
        self, cpu: float | None = None, memory_in_gb: float | None = None, gpu: int | None = None
    ) -> None:
        check_positive("cpu", cpu)
        check_positive("memory_in_gb", memory_in_gb)
        check_positive("gpu", gpu, zero=True)
        self.cpu = cpu
        self.memory_in_gb = memory_in_gb
        self.gpu = gpu

    def serialize(self) -> JSON:
        """``{cpu, memoryInGB, gpu}``."""
        return {"cpu": self.cpu, "memoryInGB": self.memory_in_gb, "gpu": self.gpu}

    @staticmethod
    def deserialize(payload_obj: JSON | None) -> ResourceConfiguration | None:
        """The inverse of `serialize`; None for None."""
        if payload_obj is None:
            return None
        return ResourceConfiguration(
            cpu=payload_obj.get("cpu"), memory_in_gb=payload_obj.get("memoryInGB"), gpu=payload_obj.get("gpu")
        )

    def __repr__(self) -> str:
        return f"ResourceConfiguration(cpu={self.cpu}, memory_in_gb={self.memory_in_gb}, gpu={self.gpu})"
