"""The front's process: ``python -m mooring_runtime.front`` with its settings in ``MOORING_FRONT`` (JSON).

Settings: ``listen_fd`` (a bound socket), ``control_fd`` (a socket to the supervisor), ``run_dir`` (where the workers'
sockets are), ``tls`` (paths of certificate and key, or null).
"""

from __future__ import annotations

import json
import os
import sys

import uvloop

from mooring_runtime.front.http_engine import HttpEngine
from mooring_runtime.front.service import Front


def main() -> int:
    """Serves until the supervisor says stop or goes away."""
    settings = json.loads(os.environ.pop("MOORING_FRONT"))
    front = Front(
        HttpEngine(),
        listen_fd=settings["listen_fd"],
        control_fd=settings["control_fd"],
        run_dir=settings["run_dir"],
        tls=settings["tls"],
    )
    return uvloop.run(front.run())


if __name__ == "__main__":
    sys.exit(main())
