"""Writes what Azure's own scoring server answers into the golden file of the conformance suite.

    python tools/record_conformance.py

It makes the reference environment (about 50 packages) if there is none yet.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "packages" / "mooring-runtime" / "tests" / "conformance"


def main() -> None:
    """Asks the reference everything and writes ``golden.json``."""
    sys.path.insert(0, str(FOLDER))
    from conformance_cases import WORLDS
    from conformance_facts import observe
    from conformance_servers import reference, reference_python

    python = reference_python()
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        for world in WORLDS:
            with reference(world, Path(folder) / world.name, python) as (host, port):
                golden[world.name] = observe(host, port, world)
            print(f"{world.name}: {len(world.cases)} requests")
    lines = [
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f" {json.dumps(case)}: {json.dumps(facts)}" for case, facts in cases.items())
        + "\n}"
        for name, cases in golden.items()
    ]
    (FOLDER / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
