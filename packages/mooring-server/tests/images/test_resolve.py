"""The resolver against the real index."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.images.known import unwritten_limits, unwritten_needs
from mooring_server.images.locks import Lock, LockCache, Pin, parse_pins
from mooring_server.images.pythons import PythonRequest, Pythons, show

from .conftest import Recorder, Workshop

OWN = Pythons().own()


def fails(workshop: Workshop, *pip: str, conda: tuple[str, ...] = ()) -> MooringError:
    here = (f"python={OWN.name}",)
    recorder = Recorder()
    with pytest.raises(MooringError) as caught:
        workshop.builder.build(workshop.request(pip, conda=here + conda), recorder)
    assert recorder.phases == ["Resolve"]
    assert caught.value.phase == "Resolve"
    assert "secret" not in recorder.text + str(caught.value.to_json())
    return caught.value


def test_a_package_nobody_has(workshop: Workshop) -> None:
    error = fails(workshop, "six", "no-such-package-of-mooring")
    assert error.code == "PackagesNotResolved"
    assert error.target == "no-such-package-of-mooring"
    assert "was not found" in error.evidence["resolver"]


def test_a_conda_package_that_pypi_does_not_have(workshop: Workshop) -> None:
    error = fails(workshop, conda=("no-such-package-of-mooring=1.0",))
    assert error.code == "CondaPackageUnknown", error.evidence
    assert "no-such-package-of-mooring" in error.message


def test_a_version_that_does_not_exist_names_its_neighbours(workshop: Workshop) -> None:
    error = fails(workshop, "six==1.15.5")
    assert "six==1.15.5: there is no such version" in error.message
    assert "1.15.0 and 1.16.0" in error.message


def test_compiled_packages_are_not_built_for_another_python(workshop: Workshop) -> None:
    error = fails(workshop, "PyYAML==3.13", "markupsafe==1.1.1")
    assert error.code == "PackagesNotResolved"
    assert "markupsafe==1.1.1 has no wheels for Python" in error.message
    assert "nearest with wheels" in error.message


def test_requirements_that_contradict_each_other(workshop: Workshop) -> None:
    error = fails(workshop, "jinja2==3.1.4", "markupsafe<2")
    assert "jinja2" in error.message
    assert "markupsafe" in error.message


def test_an_index_that_does_not_answer(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    error = fails(workshop, "--index-url http://user:secret@127.0.0.1:9/simple", "six")
    assert error.code == "IndexUnreachable"
    assert error.http_status == 503
    assert "127.0.0.1:9" in error.message


def test_python_2_is_not_replaced(workshop: Workshop, reporter: Recorder) -> None:
    with pytest.raises(PhaseFailed) as caught:
        workshop.builder.build(workshop.request(conda=("python=2.7",)), reporter)
    assert caught.value.code == "PythonNotAvailable"
    assert OWN.name in caught.value.message


def test_a_pure_source_distribution_is_built_and_told(workshop: Workshop, reporter: Recorder) -> None:
    built = workshop.builder.build(workshop.request(["docopt==0.6.2"]), reporter)
    assert any("Built from source" in change and "docopt" in change for change in built.changes)
    unpacked = workshop.unpacker.materialise(built.digest)
    assert list(unpacked.python.parents[1].glob("lib/python*/site-packages/docopt.py"))


def test_indexes_as_directories(workshop: Workshop, reporter: Recorder, tmp_path: Path) -> None:
    (tmp_path / "index" / "other").mkdir(parents=True)
    option = f"--extra-index-url file://{tmp_path}/index"
    built = workshop.builder.build(workshop.request([option, "six==1.16.0"]), reporter)
    assert b"six==1.16.0" in workshop.store.read(built.lock_digest)
    assert str(tmp_path).encode() not in workshop.store.read(built.lock_digest)


def test_the_lock_is_kept_for_the_same_question(workshop: Workshop) -> None:
    first, again, other = Recorder(), Recorder(), Recorder()
    workshop.builder.build(workshop.request(["six==1.16.0"]), first)
    workshop.reopen()
    workshop.builder.build(workshop.request(["six==1.16.0"]), again)
    workshop.builder.build(
        workshop.request(["six==1.16.0"], environment={"excludeNewer": "2023-01-01"}), other
    )
    assert "uv: Resolved" in first.text
    assert "uv:" not in again.text
    assert "uv: Resolved" in other.text


def test_exclude_newer(workshop: Workshop, reporter: Recorder) -> None:
    built = workshop.builder.build(
        workshop.request(["packaging"], environment={"excludeNewer": "2023-05-01"}), reporter
    )
    assert b"packaging==23.1 " in workshop.store.read(built.lock_digest)


def test_interpreters_of_this_host() -> None:
    pythons = Pythons()
    present = pythons.all()
    assert OWN in present
    assert [python.minor for python in present] == sorted({p.minor for p in present}, reverse=True)
    assert pythons.candidates(None)[0][0] == OWN
    assert pythons.find((3, 99)) is None
    exact = PythonRequest.parse(f"={OWN.name}.1", "x")
    assert pythons.candidates(exact) == ([OWN], "")
    with pytest.raises(PhaseFailed):
        pythons.candidates(PythonRequest.parse("=3.99", "python=3.99"))


def test_a_missing_python_is_replaced_by_the_nearest_newer_one(
    workshop: Workshop, reporter: Recorder
) -> None:
    present = {python.minor for python in Pythons().all()}
    missing = next(((3, minor) for minor in range(OWN.minor[1]) if (3, minor) not in present), (3, 0))
    nearest = min(minor for minor in present if minor > missing)
    built = workshop.builder.build(workshop.request(conda=(f"python={show(missing)}",), model=None), reporter)
    assert built.python_version == show(nearest)
    assert any(show(missing) in change and show(nearest) in change for change in built.changes)


def test_pins_and_cache(tmp_path: Path) -> None:
    text = "Six==1.0 \\\n    --hash=sha256:b \\\n    --hash=sha256:a\n"
    text += "x @ https://h/x-2.0-py3-none-any.whl --hash=sha256:c\n"
    pins = parse_pins(text, ["x"])
    assert pins == (
        Pin("six", "1.0", ("sha256:a", "sha256:b")),
        Pin("x", "", ("sha256:c",), "https://h/x-2.0-py3-none-any.whl", source=True),
    )
    assert pins[1].shown_version == "2.0"
    cache = LockCache(tmp_path)
    lock = Lock("3.11", pins, ("a change",))
    assert cache.get("k") is None
    cache.put("k", lock)
    assert cache.get("k") == lock
    (tmp_path / "k.json").write_text("{damaged")
    assert cache.get("k") is None
    assert parse_pins(lock.text())[0] == pins[0]


@pytest.mark.parametrize(
    ("versions", "limits"),
    [
        ({"numpy": "2.1.0", "scikit-learn": "1.2.2"}, ["numpy<2"]),
        ({"numpy": "1.26.4", "scikit-learn": "1.2.2"}, []),
        ({"numpy": "1.26.4", "scikit-learn": "0.24.2", "scipy": "1.13.1"}, ["numpy<1.24", "scipy<1.11"]),
        ({"numpy": "2.1.0", "scikit-learn": "1.5.0"}, []),
        ({"scikit-learn": "0.24.2"}, []),
    ],
)
def test_what_old_wheels_do_not_say(versions: dict[str, str], limits: list[str]) -> None:
    assert list(unwritten_limits(Pin(name, version, ()) for name, version in versions.items())) == limits


def test_what_old_wheels_need_and_do_not_say() -> None:
    def needs(**versions: str) -> dict[str, str]:
        return unwritten_needs(Pin(name.replace("_", "-"), version, ()) for name, version in versions.items())

    assert needs(scikit_learn="0.19.2") == {"numpy": "scikit-learn 0.19.2", "scipy": "scikit-learn 0.19.2"}
    assert needs(scikit_learn="0.19.2", numpy="1.19.5") == {"scipy": "scikit-learn 0.19.2"}
    assert needs(scikit_learn="0.20.0") == needs(six="1.0") == {}
