"""A small base image with a shell, made of programs of this machine: no registry, no mmdebstrap."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

PROGRAMS = ("sh", "cat", "sleep", "env", "mkdir", "dd")
# What every Linux with the GNU C library has of it, whether a program here needs it or not.
_GLIBC = ("libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2")
_FOLDERS = ("proc", "sys", "dev", "etc", "run", "tmp")


def write_base(path: Path) -> Path:
    """Its root directory as an archive."""
    files = {}
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        files[f"bin/{name}"] = os.path.realpath(program)
        files |= {place.lstrip("/"): os.path.realpath(place) for place in re.findall(r"(/\S+)", said)}
    for place in [place for place in files if place.endswith("/libc.so.6")]:
        there = Path(f"/{place}").parent
        files |= {str(there / name).lstrip("/"): os.path.realpath(there / name) for name in _GLIBC}
    with tarfile.open(path, "w") as archive:
        for folder in _FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for place, source in sorted(files.items()):
            data = Path(source).read_bytes()
            entry = tarfile.TarInfo(place)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return path
