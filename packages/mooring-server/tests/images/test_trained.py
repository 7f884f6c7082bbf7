"""The environment has what wrote the model's pickles, or the build says which pin is missing."""

from __future__ import annotations

import pytest

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.conda import Requirements
from mooring_server.images.locks import Lock, Pin
from mooring_server.images.trained import check_trained, with_model_date, with_trained_version
from mooring_server.images.types import ModelTree


def model(*versions: str, name: str = "m") -> ModelTree:
    return ModelTree(name, 1, (), tuple((f"{index}.pkl", version) for index, version in enumerate(versions)))


@pytest.mark.parametrize(
    ("line", "written", "expected"),
    [
        ("scikit-learn", ("0.20.3",), "scikit-learn==0.20.3"),
        ("scikit_learn>=0.20,<1", ("0.22.2.post1", "0.22.2.post1"), "scikit-learn==0.22.2.post1"),
        ("scikit-learn[alldeps]", ("1.4.2",), "scikit-learn[alldeps]==1.4.2"),
        ("scikit-learn==0.24.2", ("0.24.1",), None),
        ("scikit-learn==0.24.*", ("0.20.3",), None),
        ("scikit-learn>=1", ("0.20.3",), None),
        ("scikit-learn", ("0.20.3", "0.24.2"), None),
        ("scikit-learn", ("1.9.dev0",), None),
        ("scikit-learn", ("of my own",), None),
        ("scikit-learn", (), None),
        ("numpy", ("0.20.3",), None),
    ],
)
def test_an_open_version_is_that_of_the_pickle(
    line: str, written: tuple[str, ...], expected: str | None
) -> None:
    given = Requirements(packages=("numpy<3", line))
    result = with_trained_version(given, [model(*written)])
    if expected is None:
        assert result == given
    else:
        assert result.packages == ("numpy<3", expected)
        assert "0.pkl of model m:1" in result.changes[0] or "1.pkl of model m:1" in result.changes[0]


def lock(version: str) -> Lock:
    return Lock("3.11", (Pin("numpy", "1.0", ()), Pin("scikit-learn", version, ())))


def test_what_fits() -> None:
    check_trained(lock("1.4.2"), [model("1.4.0", "1.4.1.post1"), model("of my own")])
    check_trained(Lock("3.11"), [model("1.4.0")])


def test_what_does_not_fit_names_the_pin() -> None:
    with pytest.raises(PhaseFailed) as caught:
        check_trained(lock("1.5.2"), [model("0.20.3")])
    assert (caught.value.code, caught.value.phase) == ("PickleVersionMismatch", "Resolve")
    assert "0.pkl of model m:1 was written with scikit-learn 0.20.3" in caught.value.message
    assert "scikit-learn 1.5.2" in caught.value.message
    assert "scikit-learn==0.20.3" in caught.value.hint


def test_models_that_cannot_be_in_one_image() -> None:
    with pytest.raises(PhaseFailed) as caught:
        check_trained(lock("1.5.2"), [model("1.5.0"), model("0.20.3", name="other")])
    assert "several services" in caught.value.hint
    assert "m:1: scikit-learn 1.5.0" in caught.value.evidence["written"]


@pytest.mark.parametrize(
    ("written", "date"),
    [
        (("0.20.3",), "2019-05-09"),
        (("0.19.2", "0.22.2.post1", "0.20.0"), "2020-05-11"),
        (("of my own", "0.24.1"), "2021-09-23"),
        (("99.0",), None),
    ],
)
def test_the_date_of_a_model(written: tuple[str, ...], date: str | None) -> None:
    given = Requirements(packages=("numpy",), exclude_newer="model", changes=("before",))
    result = with_model_date(given, [model(*written)])
    assert result.exclude_newer == date
    assert result.changes[0] == "before"
    assert (date or "as they are now") in result.changes[1]


def test_a_date_of_the_user_stays() -> None:
    for date in ("2019-06-01", None):
        given = Requirements(packages=("numpy",), exclude_newer=date)
        assert with_model_date(given, [model("0.20.3")]) is given


def test_models_without_a_date() -> None:
    with pytest.raises(PhaseFailed) as caught:
        with_model_date(Requirements(exclude_newer="model"), [model(), model("of my own")])
    assert (caught.value.code, caught.value.phase) == ("ModelDateUnknown", "Resolve")
    assert "2019-06-01" in caught.value.hint
