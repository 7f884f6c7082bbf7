"""Entry scripts are judged without being run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.entry_script import check_entry_script
from mooring_server.domain.errors import InvalidRequest

GOOD = b"def init():\n    pass\n\ndef run(data):\n    return data\n"


def failure(name: str, source: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_entry_script(name, source)
    return caught.value


@pytest.mark.parametrize(
    "source",
    [
        GOOD,
        b"async def run(x): ...\ninit = lambda: None\n",
        b"from other import init, run\n",
        b"from other import *\n",
        b"import helpers as init\ntry:\n    from fast import run\nexcept ImportError:\n    def run(d): return d\n",
        b"if True:\n    def init(): pass\n    def run(d): pass\n",
        b"# -*- coding: latin-1 -*-\n# \xe9\ninit, run = make()\n",
        b"(init := setup)\nfor run in [1]: pass\n",
    ],
)
def test_accepted(source: bytes) -> None:
    check_entry_script("score.py", source)


def test_a_syntax_error_has_line_and_caret() -> None:
    error = failure("score.py", b"def init():\n    pass\n\ndef run(data:\n    return 1\n")
    assert error.code == "EntryScriptSyntax"
    assert "line 4" in error.message
    line, caret = error.evidence["source"].split("\n")
    assert line == "def run(data:"
    assert caret.index("^") == line.index("(")


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        (b"", "init() and run()"),
        (b"def init(): pass", "run()"),
        (b"def run(data): pass", "init()"),
        (b"class A:\n    def init(self): pass\n    def run(self, d): pass\n", "init() and run()"),
        (b"def outer():\n    def init(): pass\n    run = 1\n", "init() and run()"),
        (b"f = lambda: (run := 1)\ndef init(): pass", "run()"),
    ],
)
def test_what_is_missing_is_named(source: bytes, missing: str) -> None:
    error = failure("score.py", source)
    assert error.code == "EntryScriptIncomplete"
    assert f"does not define {missing}." in error.message


@pytest.mark.parametrize("name", ["my-score.py", "score.txt", "1score.py", "class.py", "score", ".py"])
def test_names_that_cannot_be_imported(name: str) -> None:
    assert failure(name, GOOD).code == "EntryScriptNotImportable"


def test_nul_bytes_and_absurd_nesting_are_errors_not_crashes() -> None:
    assert failure("score.py", b"x = 1\0").code == "EntryScriptSyntax"
    assert failure("score.py", b"(" * 5000 + b")" * 5000).code == "EntryScriptSyntax"


@given(st.binary(max_size=200))
def test_any_bytes_give_an_answer(source: bytes) -> None:
    try:
        check_entry_script("score.py", source)
    except InvalidRequest as error:
        assert error.code.startswith("EntryScript")
