"""Source distributions with C code: built where there is a compiler, else the error says that there is none."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.explain import building_hint, missing_compiler
from mooring_server.images.pythons import Pythons

from .conftest import Recorder, Workshop

SETUP = """
from setuptools import Extension, setup
setup(name="mooring-c", version="1.0", ext_modules=[Extension("mooring_c", ["mooring_c.c"])])
"""
C = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "mooring_c", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_mooring_c(void) { return PyModule_Create(&module); }
"""


@pytest.mark.parametrize(
    ("text", "compiler"),
    [
        ("unable to execute 'gcc': No such file or directory\nerror: command 'gcc' failed", "gcc"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "x86_64-linux-gnu-gcc"),
        ("error: [Errno 2] No such file or directory: 'clang'", "clang"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'gfortran'", "gfortran"),
        ("ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]", "cc"),
        ("CMake Error: No CMAKE_CXX_COMPILER could be found.", "c++"),
        ("error: command '/usr/bin/gcc' failed with exit code 1", None),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'requirements.txt'", None),
    ],
)
def test_the_words_of_build_tools(text: str, compiler: str | None) -> None:
    assert missing_compiler(f"some\nlines\n{text}\nmore") == compiler
    assert ("there is no compiler here" in building_hint(text)) == (compiler is not None)


@pytest.fixture
def links(tmp_path: Path) -> str:
    folder = tmp_path / "links"
    folder.mkdir()
    with tarfile.open(folder / "mooring_c-1.0.tar.gz", "w:gz") as archive:
        info = "Metadata-Version: 2.1\nName: mooring-c\nVersion: 1.0\n"
        for name, text in (("setup.py", SETUP), ("mooring_c.c", C), ("PKG-INFO", info)):
            entry = tarfile.TarInfo(f"mooring_c-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"--find-links {folder}"


@pytest.mark.full
def test_without_a_compiler(workshop: Workshop, links: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CC", "LDSHARED", "CXX"):
        monkeypatch.setenv(variable, "no-such-gcc")
    python = f"python={Pythons().own().name}"
    with pytest.raises(PhaseFailed) as caught:
        workshop.builder.build(workshop.request([links, "mooring-c"], conda=(python,)), Recorder())
    assert caught.value.code == "PackageNotBuilt"
    assert "mooring-c" in caught.value.message
    assert "there is no compiler here (no-such-gcc)" in caught.value.hint


@pytest.mark.full
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_with_a_compiler(workshop: Workshop, links: str) -> None:
    built = workshop.builder.build(workshop.request([links, "mooring-c"]), Recorder())
    assert any("Built from source" in change for change in built.changes)
    image = workshop.unpacker.materialise(built.digest)
    assert list(image.python.parents[1].glob("lib/python*/site-packages/mooring_c*.so"))
