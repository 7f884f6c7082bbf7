"""The model registry against a real database and content store."""

import pickle
import threading

import pytest

from mooring_server.domain.errors import InvalidRequest, MooringError, NotFound
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.models import Models
from mooring_server.services.paging import Paging
from mooring_server.settings import allowed_imports


def file(context: Context, path: str = "model.pkl", content: bytes = b"x") -> dict:
    return {"path": path, "digest": context.store.put_bytes(content), "size": 0}


def register(context: Context, ref: WorkspaceRef, name: str = "m", **more: object) -> dict:
    return Models(context).register(ref, {"name": name, "files": [file(context)], **more})


def names(page: dict) -> list[str]:
    return [m["id"] for m in page["value"]]


def test_versions_count_up_and_are_never_used_again(context: Context, ref: WorkspaceRef) -> None:
    models = Models(context)
    assert [register(context, ref)["version"] for _ in range(3)] == [1, 2, 3]
    models.delete(ref, "m:3")
    assert register(context, ref)["id"] == "m:4"
    assert models.get(ref, "m")["version"] == 4
    assert models.get(ref, "m:2")["version"] == 2


def test_what_is_stored_comes_back(context: Context, ref: WorkspaceRef) -> None:
    view = register(
        context,
        ref,
        kvTags={"a": "b"},
        properties={"p": "q"},
        description="d",
        framework="ScikitLearn",
        frameworkVersion="1.0",
        runId="r",
        resourceRequirements={"cpu": 1, "memoryInGB": 2, "gpu": None},
    )
    assert Models(context).get(ref, "m:1") == view
    assert view["files"] == [{**file(context), "size": 1, "executable": False}]
    assert view["kvTags"] == {"a": "b"}
    assert view["frameworkVersion"] == "1.0"
    assert view["runId"] == "r"
    assert view["resourceRequirements"]["memoryInGB"] == 2


def test_filters(context: Context, ref: WorkspaceRef) -> None:
    register(context, ref, "a", kvTags={"k": "v", "we ird.$'": "x"}, framework="Onnx")
    register(context, ref, "a", kvTags={"k": "w"})
    register(context, ref, "b", properties={"p": "1"}, runId="run1")
    models = Models(context)

    def found(**filters: str) -> list[str]:
        return names(models.list(ref, filters, Paging("/x")))

    assert found() == ["b:1", "a:2", "a:1"]
    assert found(name="a") == ["a:2", "a:1"]
    assert found(tags="k") == ["a:2", "a:1"]
    assert found(tags="k=v") == ["a:1"]
    assert found(tags="we ird.$'=x") == ["a:1"]
    assert found(tags="k=v,missing") == []
    assert found(properties="p=1") == ["b:1"]
    assert found(framework="Onnx") == ["a:1"]
    assert found(runId="run1") == ["b:1"]
    assert found(latestVersionOnly="true") == ["b:1", "a:2"]
    assert found(name="a", latestVersionOnly="true") == ["a:2"]
    with pytest.raises(InvalidRequest, match="filtered"):
        found(tags='a"b=c')


def test_pages_follow_each_other(context: Context, ref: WorkspaceRef) -> None:
    for _ in range(5):
        register(context, ref)
    models = Models(context)
    first = models.list(ref, {}, Paging("/models", (("count", "2"),), 2))
    assert names(first) == ["m:5", "m:4"]
    assert first["nextLink"] is not None
    assert first["nextLink"].startswith("/models?count=2&%24skipToken=")
    token = first["nextLink"].rpartition("=")[2]
    second = models.list(ref, {}, Paging("/models", (), 3, token))
    assert names(second) == ["m:3", "m:2", "m:1"]
    assert second["nextLink"] is None
    with pytest.raises(InvalidRequest):
        models.list(ref, {}, Paging("/models", (), 3, "x; DROP TABLE models"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "bad name"}, "InvalidName"),
        ({"files": []}, "ModelEmpty"),
        ({"files": [{"path": "a", "digest": "sha256:" + "0" * 64}]}, "BlobMissing"),
        ({"files": [{"path": "../a", "digest": "sha256:" + "0" * 64}]}, "InvalidPath"),
        ({"files": [{"path": "a", "digest": "nonsense"}]}, "InvalidDigest"),
    ],
)
def test_bad_requests_leave_nothing(context: Context, ref: WorkspaceRef, change: dict, code: str) -> None:
    with pytest.raises(MooringError) as caught:
        Models(context).register(ref, {"name": "m", "files": [file(context)], **change})
    assert caught.value.code == code
    assert names(Models(context).list(ref, {}, Paging("/x"))) == []
    assert register(context, ref)["version"] == 1


def test_not_found_says_what_there_is(context: Context, ref: WorkspaceRef) -> None:
    register(context, ref)
    with pytest.raises(NotFound) as caught:
        Models(context).get(ref, "m:7")
    assert caught.value.code == "ModelNotFound"
    assert "1" in caught.value.hint
    with pytest.raises(NotFound) as caught:
        Models(context).file(ref, "m:1", "other.pkl")
    assert caught.value.evidence["tree"] == "model.pkl"
    with pytest.raises(NotFound) as caught:
        Models(context).get(WorkspaceRef("sub", "rg", "nowhere"), "m")
    assert caught.value.code == "WorkspaceNotFound"


def test_two_registrations_at_once_get_two_versions(context: Context, ref: WorkspaceRef) -> None:
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda: got.append(register(context, ref)["version"])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 9))


def test_update(context: Context, ref: WorkspaceRef) -> None:
    register(context, ref, kvTags={"a": "1"}, description="old")
    view = Models(context).update(ref, "m:1", {"kvTags": {"b": "2"}, "sampleInputData": "s"})
    assert view["kvTags"] == {"b": "2"}
    assert view["description"] == "old"
    assert Models(context).get(ref, "m:1")["sampleInputData"] == "s"


def test_what_pickles_say_is_kept_and_shown(context: Context, ref: WorkspaceRef) -> None:
    content = pickle.dumps({"_sklearn_version": "0.24.2"}, 4)
    view = register(context, ref, files=[file(context, "m/model.pkl", content), file(context, "m/notes.txt")])
    assert [found["path"] for found in view["pickles"]] == ["m/model.pkl"]
    assert view["pickles"][0]["versions"] == {"scikit-learn": ["0.24.2"]}
    assert Models(context).update(ref, "m:1", {"kvTags": {"a": "b"}})["pickles"] == view["pickles"]


def test_a_dangerous_pickle_is_refused_unless_it_is_allowed_by_name(
    context: Context, ref: WorkspaceRef
) -> None:
    evil = [file(context, "model.pkl", b"cos\nsystem\n(S'true'\ntR.")]
    with pytest.raises(InvalidRequest) as caught:
        register(context, ref, files=evil, allowedImports=["os.popen"])
    assert caught.value.code == "PickleImportDangerous"
    assert "os.system" in caught.value.message
    assert "MOORING_ALLOWED_IMPORTS=os.system" in caught.value.hint
    assert Models(context).list(ref, {}, Paging("/models"))["value"] == []
    view = register(context, ref, files=evil, allowedImports=["os.system"])
    assert view["version"] == 1
    assert view["pickles"][0]["dangerousImports"] == [{"name": "os.system", "reason": "starts programs"}]
    context.allowed_imports = allowed_imports({"MOORING_ALLOWED_IMPORTS": "os.system, builtins.getattr"})
    assert register(context, ref, files=evil)["version"] == 2


def test_allowed_imports_are_names() -> None:
    with pytest.raises(MooringError) as caught:
        allowed_imports({"MOORING_ALLOWED_IMPORTS": "os.system,eval"})
    assert caught.value.code == "SettingInvalid"
