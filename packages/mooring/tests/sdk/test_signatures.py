"""Every call that was valid with Azure's SDK is accepted: names, order and defaults of all parameters in scope.

`signatures_in_scope.json` holds facts (names and defaults) about azureml-core 1.0.2 (2018), 1.0.85 (2020) and
1.61 (2025).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

FACTS = json.loads((Path(__file__).parent / "signatures_in_scope.json").read_text(encoding="utf-8"))
# What we do differently, and why.
DIFFERENT_DEFAULTS = {
    ("CondaDependencies", "create", "python_version"): "the server chooses Python by the wheels there are",
    ("CondaDependencies", "add_cntk_package", "core_type"): "a constant of another module",
    ("CondaDependencies", "add_tensorflow_conda_package", "core_type"): "a constant of another module",
    ("CondaDependencies", "add_tensorflow_pip_package", "core_type"): "a constant of another module",
    ("TokenAuthentication", "get_token", "audience"): "an enumeration",
    ("Image", "run", "input_data"): "not a parameter of the base class",
}
RENAMED = {("ServicePrincipalAuthentication", "__init__"), ("AzureMlTokenAuthentication", "__init__")}
# Attributes of an instance here, properties in Azure's SDK.
ATTRIBUTES = {("LocalWebservice", "scoring_uri"), ("LocalWebservice", "swagger_uri")}
# Azure itself changed the meaning between versions; the newer one counts.
CHANGED_BY_AZURE = {("azureml-core==1.0.85", "Model", "profile")}
NEWEST = "azureml-core==1.61.0.post4"
GONE = {"AzureMlTokenAuthentication", "AzureNotebooksAuthentication"}


def cases() -> list[Any]:
    found = []
    for version, modules in FACTS.items():
        for module, classes in modules.items():
            for cls, methods in classes.items():
                for method, signature in methods.items():
                    if cls in GONE and version == "azureml-core==1.0.2":
                        continue
                    case = (version, module, cls, method, signature)
                    found.append(pytest.param(*case, id=f"{version[14:]}-{cls}.{method}"))
    return found


def parameters(signature: str) -> tuple[list[tuple[str, str | None]], bool]:
    """(name, default as source or None) of each parameter, and whether there is **kwargs."""
    args = ast.parse(f"def f{signature}: ...").body[0].args  # type: ignore[attr-defined]
    names = [argument.arg for argument in args.args]
    defaults = [None] * (len(names) - len(args.defaults)) + [ast.unparse(d) for d in args.defaults]
    pairs = zip(names, defaults)  # noqa: B905 - Python 3.9, where the SDK runs as well, has no strict
    return list(pairs), args.kwarg is not None


@pytest.mark.parametrize(("version", "module", "cls", "method", "signature"), cases())
def test_azures_calls_are_accepted(  # noqa: C901 - one rule after the other reads best
    version: str, module: str, cls: str, method: str, signature: str
) -> None:
    owner = getattr(importlib.import_module(module), cls)
    member = inspect.getattr_static(owner, method, None)
    if member is None and (cls == "DockerSection" or (cls, method) in ATTRIBUTES):
        assert signature == "()"
        assert (cls, method) in ATTRIBUTES or hasattr(owner(), method)
        return
    assert member is not None, f"{cls}.{method} is missing"
    if isinstance(member, property):
        assert signature == "()"
        return
    function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
    ours = dict(inspect.signature(function).parameters)
    if not isinstance(member, staticmethod):
        ours.pop(next(iter(ours)))
    keywords = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    named = [p for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    wanted, wants_keywords = parameters(signature)
    if (cls, method) in RENAMED and version == "azureml-core==1.0.2":
        assert keywords
        return
    if (version, cls, method) in CHANGED_BY_AZURE:
        return
    order = [p.name for p in named]
    if version == NEWEST:
        assert order[: len(wanted)] == [name for name, _ in wanted]
    # Azure inserted parameters between versions, so older calls are valid by name, not always by place.
    assert {name for name, _ in wanted} <= set(order)
    for name, default in wanted:
        ours_ = ours[name]
        if default is None:
            continue
        assert ours_.default is not inspect.Parameter.empty, f"{name} has a default in Azure's SDK"
        if version == NEWEST and (cls, method, name) not in DIFFERENT_DEFAULTS:
            assert ours_.default == ast.literal_eval(default), name
    for extra in named:
        if extra.name in {name for name, _ in wanted}:
            continue
        assert extra.default is not inspect.Parameter.empty, f"{extra.name} is required by us only"
    if wants_keywords:
        assert keywords, "Azure's takes **kwargs"
