"""What `make bench-build` runs; docs/benchmarks.md says what is measured.

Everything happens in a temporary MOORING_HOME against a real server, which is stopped and deleted afterwards.
Figures are medians; the targets are those of two cores. Nothing is asserted.

    python -m benchmarks.builds [--quick] [--base base.tar] [--only-peers]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

from benchmarks.builds import measures, peers
from benchmarks.builds.bench import Bench, server, write_environment
from benchmarks.builds.table import Table


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; 100 MB instead of 1 GB")
    parser.add_argument(
        "--base", type=Path, help="a root directory with Python and pip, for the rows beside Dockerfiles"
    )
    parser.add_argument("--only-peers", action="store_true", help="only the rows beside Dockerfiles")
    arguments = parser.parse_args()
    count, calls, megabytes = (3, 200, 100) if arguments.quick else (7, 1000, 1000)
    base = arguments.base and arguments.base.resolve()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        folder = Path(name)
        os.chdir(folder)
        write_environment(folder)
        table = Table()
        if not arguments.only_peers:
            measures.starts(table, folder, count)
            home = measures.first_builds(table, folder)
            with server(home) as workspace:
                bench = Bench(workspace, folder)
                measures.rebuilds(table, bench, count)
                measures.deployments(table, bench, count, calls)
                measures.register(table, folder, megabytes)
        if base is None:
            table.text("beside Dockerfiles: not measured, no --base was given", "")
        else:
            peers.run(table, folder, base, count)
        os.chdir("/")
    missed = [row.what.strip() for row in table.rows if row.met is False]
    print(f"\n{len(missed)} target(s) missed" + (f": {'; '.join(missed)}" if missed else ""))


if __name__ == "__main__":
    main()
