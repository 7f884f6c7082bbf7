"""The text formats of metrics: Prometheus 0.0.4 and OpenMetrics 1.0.0.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring_runtime.front.metrics import Histogram

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass
class Family:
    """A metric with its samples.

    Attributes:
        name: without ``_total``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        samples: labels (without braces) and values, by suffix of the name.
    """

    name: str
    kind: str
    text: str
    samples: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> Family:
        """Adds a sample; its labels must differ from those of the others."""
        self.samples.append(("_total" if self.kind == "counter" else "", _labels(labels), value))
        return self

    def add_all(self, label: str, values: Mapping[str, float]) -> Family:
        """Adds a sample for each value of a label."""
        for name in sorted(values):
            self.add(values[name], **{label: name})
        return self


def histogram(name: str, text: str, counted: Histogram) -> Family:
    """The family of a histogram without labels."""
    family = Family(name, "histogram", text)
    so_far = 0
    for bound, count in zip((*counted.bounds, float("inf")), counted.counts, strict=True):
        so_far += count
        family.samples.append(("_bucket", _labels({"le": _number(bound)}), so_far))
    family.samples += [("_count", "", so_far), ("_sum", "", counted.total)]
    return family


def render(families: list[Family], *, openmetrics: bool) -> bytes:
    """The whole text."""
    lines: list[str] = []
    for family in families:
        # Prometheus' own format names a counter as its samples are named.
        title = family.name + ("_total" if family.kind == "counter" and not openmetrics else "")
        lines += [f"# HELP {title} {family.text}", f"# TYPE {title} {family.kind}"]
        for suffix, labels, value in family.samples:
            shown = f"{{{labels}}}" if labels else ""
            lines.append(f"{family.name}{suffix}{shown} {_number(value)}")
    if openmetrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(value)
