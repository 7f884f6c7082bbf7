"""How long init() may take: the environment's word, then the server's."""

import pytest

from mooring_server.__main__ import main
from mooring_server.domain.errors import InvalidRequest
from mooring_server.domain.init_timeout import INIT_TIMEOUT_VARIABLE, init_seconds, parse_init_seconds


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (None, 300),
        ({}, 300),
        ({"environmentVariables": None}, 300),
        ({"environmentVariables": {"OTHER": "1"}}, 300),
        ({"environmentVariables": {INIT_TIMEOUT_VARIABLE: "1200"}}, 1200),
        ({"environmentVariables": {INIT_TIMEOUT_VARIABLE: 0.5}}, 0.5),
    ],
)
def test_the_environment_comes_first(environment: dict[str, object] | None, expected: float) -> None:
    assert init_seconds(environment, 300) == expected


@pytest.mark.parametrize("text", ["", "soon", "0", "-5", "nan", "inf", "86401"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_init_seconds(text)
    assert caught.value.code == "InvalidInitTimeout"
    assert INIT_TIMEOUT_VARIABLE in caught.value.hint


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_server_does_not_start_with_nonsense(
    how: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path_factory.mktemp("home")
    arguments = ["--home", str(home)]
    if how == "option":
        arguments += ["--init-timeout", "soon"]
    else:
        monkeypatch.setenv(INIT_TIMEOUT_VARIABLE, "soon")
    assert main(arguments) == 1
    assert "InvalidInitTimeout" in capsys.readouterr().err
    assert not (home / "server.json").exists()
