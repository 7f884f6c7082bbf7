from __future__ import annotations

import json

import pytest

from mooring.cli import failures
from mooring.cli.failures import CliError


class Remote(Exception):
    code = "InitRaised"
    phase = "Init"
    message = "init() raised ValueError"
    hint = "Correct init() and deploy again."
    status_code = 422
    evidence = {"traceback": "Traceback:\n  ValueError: no"}  # noqa: RUF012


def test_a_block_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(Remote(), machine=False, debug=False)
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == [
        "Error: init() raised ValueError",
        "  InitRaised in Init",
        "  traceback:",
        "    | Traceback:",
        "    |   ValueError: no",
        "  What to do: Correct init() and deploy again.",
    ]


def test_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(Remote(), machine=True, debug=False)
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "InitRaised"
    assert error["phase"] == "Init"
    assert error["statusCode"] == 422
    assert error["evidence"] == {"traceback": "Traceback:\n  ValueError: no"}


def test_markup_in_a_message_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(CliError("X", "expected [bold]list[/bold], [/nothing]"), machine=False, debug=False)
    assert "expected [bold]list[/bold], [/nothing]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (FileNotFoundError(2, "No such file or directory", "model.pkl"), "FileNotFound", "model.pkl"),
        (PermissionError(13, "Permission denied", "x"), "FileNotUsable", "Permission denied: x"),
        (ZeroDivisionError("division by zero"), "InternalError", "ZeroDivisionError: division by zero"),
    ],
)
def test_other_exceptions(error: BaseException, code: str, says: str) -> None:
    envelope = failures.as_json(error)["error"]
    assert envelope["code"] == code
    assert says in envelope["message"]
    assert envelope["hint"]


def test_the_traceback_only_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError) as caught:
        {}["x"]
    failures.report(caught.value, machine=False, debug=False)
    assert "Traceback" not in capsys.readouterr().err
    failures.report(caught.value, machine=False, debug=True)
    assert "Traceback" in capsys.readouterr().err
