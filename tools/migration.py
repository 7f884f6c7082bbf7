"""Write a new migration from the difference between the tables and the newest schema.

Usage: python tools/migration.py 0002 "what it is for"
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

import mooring_server.store.database as db


def main(revision: str, message: str) -> None:
    """Create ``versions/<revision>_<message>.py``; read and correct it before committing."""
    config = Config()
    folder = Path(db.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    with tempfile.TemporaryDirectory() as scratch:
        database = db.Database(f"sqlite:///{scratch}/x.db")
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            if any((folder / "versions").glob("*.py")):
                command.upgrade(config, "head")
            command.revision(config, message=message, rev_id=revision, autogenerate=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
