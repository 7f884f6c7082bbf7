"""Documents that are written from the sources, or have to agree with them."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[4]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def tool(name: str) -> ModuleType:
    spec = util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_error_code_is_documented_and_every_documented_code_exists() -> None:
    codes = tool("error_codes")
    sources = codes.in_sources()
    assert {code: sources[code] for code in sorted(set(sources) - codes.in_page())} == {}
    assert sorted(codes.in_page() - set(sources)) == []


def test_error_codes_are_found_in_the_ways_in_which_they_are_written() -> None:
    source = """
raise InvalidRequest("NameTooLong", "...")
raise user_error("...", code="FileTooLarge")
exc.explain("ThingBroken", "Run")
Failure("InitRaised" if init else "ImportFailed", "Init")
{"code": "FromJson", "other": "NotThis"}
print("NotACode")
"""
    found = {code for code, _ in tool("error_codes").in_source(source)}
    assert found == {"NameTooLong", "FileTooLarge", "ThingBroken", "InitRaised", "ImportFailed", "FromJson"}


@pytest.mark.parametrize("name", ["command_line", "compatibility"])
def test_generated_pages_are_current(name: str) -> None:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_every_command_is_in_the_guide() -> None:
    reference = (ROOT / "docs/guide/command-line.md").read_text()
    for name, _ in tool("command_line").commands():
        assert f"### {name}\n" in reference


def test_the_compatibility_page_is_made_from_marks() -> None:
    compatibility = tool("compatibility")
    scope = [
        {"class": "Model", "import": "azureml.core", "names": ["(constructor)", "list"], "later": ["profile"]}
    ]
    page = compatibility.render(scope, {"Model": ["tests/test_a.py::test_one", "tests/test_a.py::test_two"]})
    assert "1 of 2 names in scope work." in page
    assert (
        "| `(constructor)` | works | [test_one](../tests/test_a.py), [test_two](../tests/test_a.py) |" in page
    )
    assert "| `list` | not covered |  |" in page
    assert "| `profile` | not in this version |  |" in page
    with pytest.raises(SystemExit, match=r"Model\.lost"):
        compatibility.render(scope, {"Model.lost": ["t"]})


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_pages_name_no_place_of_one_machine(page: Path) -> None:
    # Azure Functions look for an app below /home/site.
    assert not re.search(r"(?<![\w.])/(work|root|home/(?!site/)\w+)/", page.read_text(encoding="utf-8"))
