"""Paths with placeholders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_runtime.functions.pattern import BlobPattern, check_paths
from mooring_runtime.functions.problem import FunctionInvalid


@pytest.mark.parametrize(
    ("pattern", "name", "values"),
    [
        ("input/{blobname}.json", "a.json", {"blobname": "a"}),
        ("input/{blobname}.json", "folder/a.b.json", {"blobname": "folder/a.b"}),
        ("input/{blobname}.json", "a.txt", None),
        ("input/{blobname}.json", "a-json", None),
        ("input/{day}/{name}.{kind}", "1/x.y.json", {"day": "1", "name": "x.y", "kind": "json"}),
        ("input", "anything\nat all", {}),
        ("input/{{x}}-{name}", "{x}-1", {"name": "1"}),
        ("input/fixed.json", "fixed.json", {}),
    ],
)
def test_names_that_match_give_their_parts(pattern: str, name: str, values: dict[str, str] | None) -> None:
    assert BlobPattern(pattern).match(name) == values


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_what_was_filled_in_is_found_again(first: str, second: str) -> None:
    pattern = BlobPattern("output/a{first}/{second}.json")
    name = pattern.fill({"first": first, "second": second})
    found = pattern.match(name)
    assert found is not None
    assert pattern.fill(found) == name
    assert name.startswith(pattern.prefix)


@pytest.mark.parametrize(
    "text", ["", "/x", "Input/{a}", "in--put/{a}", "input/{a", "input/a}", "input/{a}{a}", "ab/{x}"]
)
def test_paths_that_cannot_be_right_are_refused(text: str) -> None:
    with pytest.raises(FunctionInvalid) as caught:
        BlobPattern(text)
    assert caught.value.code == "BindingPathInvalid"


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("input/{a}.json", "output/{b}.json", "no placeholder {b}"),
        ("input/{a}.json", "input/{a}_out.json", "input again"),
        ("input/{a}", "output", "needs a name"),
    ],
)
def test_an_output_must_come_from_its_input_and_not_become_one(source: str, target: str, why: str) -> None:
    with pytest.raises(FunctionInvalid, match=why):
        check_paths(source, target)


def test_input_and_output_may_share_a_container() -> None:
    source, target = check_paths("data/in/{a}.json", "data/out/{a}.json")
    assert target.fill(source.match("in/x.json") or {}) == "out/x.json"
