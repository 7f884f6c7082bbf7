"""Azure's naming rules, ids and tree paths."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.errors import InvalidRequest
from mooring_server.domain.names import check_name, registry_name, split_id, workspace_key
from mooring_server.domain.service_config import check_config
from mooring_server.domain.trees import check_digest, check_tree, check_tree_path


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("model", ["Mymodel", "a", "0._-", "x" * 255], ["", "-a", "a b", "x" * 256, "ä", "a/b", "a\n"]),
        ("image", ["myimage", "0a.b-c9", "x" * 32], ["ab", "My", "a-", "x" * 33, "-ab", "ab\n"]),
        ("service", ["aci-mnist-3", "abc"], ["3abc", "ab", "a.b", "abc-", "Abc", "x" * 33, "abc\n"]),
        ("workspace", ["ws", "My_ws-1"], ["", "a", "_a", "x" * 34]),
        ("resource group", ["rg", "(a).b"], ["", "a.", "a/b"]),
    ],
)
def test_rules(kind: str, good: list[str], bad: list[str]) -> None:
    for name in good:
        assert check_name(kind, name) == name
    for name in bad:
        with pytest.raises(InvalidRequest) as caught:
            check_name(kind, name)
        assert caught.value.code == "InvalidName"
        assert caught.value.hint


def test_ids() -> None:
    assert split_id("model", "Mymodel:12") == ("Mymodel", 12)
    for bad in ("m", "m:", ":1", "m:x", "m:1.0", "m:٣", "m:-1", "m:" + "9" * 30):
        with pytest.raises(InvalidRequest):
            split_id("model", bad)


def test_registry_names_are_acr_names_and_stable() -> None:
    name = registry_name("sub", "RG", "My_Workspace-of.long.name")
    assert name == registry_name("SUB", "rg", "my_workspace-of.long.name")
    assert name.isalnum()
    assert name.islower()
    assert 5 <= len(name) <= 50
    assert workspace_key("S", "G", "W") == workspace_key("s", "g", "w")


@given(st.text(max_size=60))
def test_tree_paths_never_leave_the_tree(path: str) -> None:
    try:
        check_tree_path(path)
    except InvalidRequest:
        return
    assert not path.startswith("/")
    assert posixpath.normpath(posixpath.join("/root", path)) == "/root/" + path
    assert "\0" not in path


@pytest.mark.parametrize(
    "paths",
    [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["../x"], ["/x"], ["a//b"], ["a\\b"], [""], ["a/" + "x" * 300]],
)
def test_trees_that_cannot_be(paths: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        check_tree(paths)


def test_digests() -> None:
    assert check_digest("sha256:" + "0" * 64)
    for bad in ("sha256:" + "0" * 63, "sha256:" + "G" * 64, "md5:" + "0" * 64, "sha256:" + "0" * 64 + "\n"):
        with pytest.raises(InvalidRequest):
            check_digest(bad)


def test_deployment_defaults_are_those_of_aci() -> None:
    config = check_config("cloud", "ACI", {})
    assert config["containerResourceRequirements"] == {"cpu": 0.1, "memoryInGB": 0.5}
    assert config["authEnabled"] is False


@pytest.mark.parametrize(
    ("scope", "kind", "request_", "code"),
    [
        ("cloud", "AKS", {}, "ComputeTypeNotSupported"),
        ("cloud", "LOCAL", {}, "ComputeTypeNotSupported"),
        ("local", "ACI", {}, "ComputeTypeNotSupported"),
        ("cloud", "ACI", {"sslEnabled": True}, "InvalidSsl"),
        ("cloud", "ACI", {"containerResourceRequirements": {"cpu": 0}}, "InvalidConfiguration"),
        (
            "cloud",
            "ACI",
            {"containerResourceRequirements": {"memoryInGB": float("nan")}},
            "InvalidConfiguration",
        ),
        ("local", "LOCAL", {"port": 70000}, "InvalidConfiguration"),
    ],
)
def test_configurations_that_cannot_be(scope: str, kind: str, request_: dict, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_config(scope, kind, request_)
    assert caught.value.code == code
