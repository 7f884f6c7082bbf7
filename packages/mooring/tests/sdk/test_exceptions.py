from __future__ import annotations

import pytest

from mooring.sdk import exceptions as exc
from mooring.sdk.errors import Problem, invalid, not_available


def test_message_comes_first_and_everything_else_is_readable() -> None:
    error = exc.WebserviceException("init() raised KeyError: 'w'", 422).explain(
        "InitRaised", "Init", "Correct init().", {"traceback": "Traceback\n  line 3", "log": ""}
    )
    text = str(error)
    assert text.startswith("init() raised KeyError: 'w'\n")
    assert "cause: InitRaised in phase Init" in text
    assert "traceback:\n    Traceback\n      line 3" in text
    assert "log" not in error.evidence
    assert text.endswith("hint: Correct init().")


def test_azures_attributes() -> None:
    inner = ValueError("x")
    error = exc.AzureMLException("m", inner_exception=inner)
    assert (error.message, error.inner_exception) == ("m", inner)
    error.message = "n"
    assert "n" in str(error)
    assert exc.WebserviceException("m", status_code=404).status_code == 404
    assert exc.WorkspaceException("m", found_multiple=True).found_multiple
    assert exc.ActivityFailedException({"a": 1}).error_details == {"a": 1}
    assert issubclass(exc.AuthenticationException, exc.UserErrorException)
    assert "run" in exc.RunEnvironmentException().message


@pytest.mark.parametrize(
    ("code", "status", "noun", "kind", "start"),
    [
        ("ModelNotFound", 404, "models", exc.ModelNotFoundException, "ModelNotFound: "),
        ("ServiceNotFound", 404, "services", exc.WebserviceException, "WebserviceNotFound: "),
        ("NotFound", 404, "localServices", exc.WebserviceException, "WebserviceNotFound: "),
        ("ImageNotFound", 404, "images", exc.WebserviceException, "ImageNotFound: "),
        ("NotFound", 404, "computes", exc.ComputeTargetException, "ComputeTargetNotFound: "),
        ("NotFound", 404, "", exc.WorkspaceException, "WorkspaceNotFound: "),
        ("WorkspaceExists", 409, "", exc.WorkspaceException, "gone"),
        ("Unauthorized", 401, "models", exc.AuthenticationException, "gone"),
        ("SomethingElse", 401, "services", exc.AuthenticationException, "gone"),
        ("Quota", 403, "services", exc.UserErrorException, "gone"),
        ("EnvironmentNotFound", 404, "environments", exc.UserErrorException, "EnvironmentNotFound: "),
        ("EntryScriptSyntax", 400, "services", exc.WebserviceException, "gone"),
    ],
)
def test_one_table_from_codes_to_classes(
    code: str, status: int, noun: str, kind: type[exc.AzureMLException], start: str
) -> None:
    data = {"error": {"code": code, "message": "gone", "hint": "look", "phase": "Validate"}}
    error = Problem.from_json(data, status).exception(noun)
    assert type(error) is kind
    assert str(error).startswith(start)
    assert (error.hint, error.phase) == ("look", "Validate")


def test_a_missing_model_is_caught_under_both_of_azures_names() -> None:
    with pytest.raises(exc.WebserviceException, match="ModelNotFound"):
        raise Problem("ModelNotFound", "no", status=404).exception("models")


def test_errors_of_the_client_look_like_those_of_the_server() -> None:
    error = invalid("wrong", code="InvalidPort", hint="right")
    assert (error.code, error.phase, error.hint) == ("InvalidPort", "Validate", "right")
    assert "not available" in str(not_available("X", "Use Y."))
    assert not_available("X", "Use Y.").hint == "Use Y."
