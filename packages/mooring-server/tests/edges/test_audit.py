"""The audit log: private, rotated, readable after damage."""

from pathlib import Path

from mooring_server.edges.audit import KEPT, AuditLog


def test_entries_are_rotated_by_size_and_read_across_files(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl", max_bytes=200)
    for number in range(100):
        audit.write(number=number, path="x" * 50)
    files = sorted(p.name for p in tmp_path.iterdir())
    assert [f"audit.jsonl.{n}" for n in range(1, KEPT + 1)] == [f for f in files if f != "audit.jsonl"]
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in tmp_path.iterdir())
    assert [entry["number"] for entry in audit.tail(5)] == [95, 96, 97, 98, 99]


def test_a_torn_line_and_hostile_texts_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"time": "x", "resour')
    with path.open("ab") as file:
        file.write(b"\n")
    audit = AuditLog(path)
    audit.write(resource='a\n{"forged": true}', long="y" * 10_000, surrogate="\udcff")
    (entry,) = audit.tail(10)
    assert entry["resource"] == 'a\n{"forged": true}'
    assert len(entry["long"]) == 512
    assert len(path.read_bytes().splitlines()) == 2


def test_what_cannot_be_written_is_said_and_fails_nothing(tmp_path: Path, caplog: "object") -> None:
    audit = AuditLog(tmp_path / "missing" / "audit.jsonl")
    audit.write(number=1)
    assert audit.tail(1) == []
    assert "No such file" in caplog.text  # type: ignore[attr-defined]
