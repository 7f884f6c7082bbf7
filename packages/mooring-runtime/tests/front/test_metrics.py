from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from mooring_runtime.front import exposition, metrics


@given(st.lists(st.floats(0, 100) | st.sampled_from(metrics.SECONDS)))
def test_a_histogram_counts_as_that_of_prometheus(values: list[float]) -> None:
    registry = CollectorRegistry()
    reference = Histogram("some_seconds", "Text.", buckets=metrics.SECONDS, registry=registry)
    ours = metrics.Histogram(metrics.SECONDS)
    for value in values:
        reference.observe(value)
        ours.observe(value)
    text = exposition.render([exposition.histogram("some_seconds", "Text.", ours)], openmetrics=False)
    theirs = {
        (s.name, s.labels.get("le")): s.value
        for f in parse(generate_latest(registry).decode())
        for s in f.samples
    }
    mine = {(s.name, s.labels.get("le")): s.value for f in parse(text.decode()) for s in f.samples}
    assert mine == {key: value for key, value in theirs.items() if not key[0].endswith("_created")}


@given(st.dictionaries(st.text(), st.integers(0, 1 << 50)))
def test_labels_come_back(values: dict[str, int]) -> None:
    family = exposition.Family("some", "gauge", "Text.").add_all("name", values)
    text = exposition.render([family], openmetrics=False).decode()
    found = {s.labels["name"]: s.value for f in parse(text) for s in f.samples}
    assert found == values
