"""A revision's private folder: the only place its workers may write to.

    <service>/scratch/<revision>/app/    the app root as the image has it, writable
                                 home/   HOME
                                 tmp/    TMPDIR

Scripts write beside themselves, into ``HOME`` and into temporary folders. The image itself is shared with other
services and does not change, so folders are made anew, small files are copied, and large ones are links.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

COPIED_BYTES = 1 << 20
MAX_ENTRIES = 10_000
MAX_BYTES = 64 << 20


def short_folder(path: Path) -> Path:
    """A folder for the temporary files of the scratch folder ``path``, short enough for Unix sockets in it.

    `multiprocessing` makes some, and their paths have at most 107 bytes. It is ours alone, or it is ``tmp``.
    """
    short = Path("/tmp") / f"mooring-{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"  # noqa: S108
    try:
        short.mkdir(mode=0o700, exist_ok=True)
        found = short.lstat()
    except OSError:
        return path / "tmp"
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return short if ours else path / "tmp"


class Scratch:
    """The folder of one revision.

    Args:
        path: where it is; complete as soon as it exists.
        app_root: the image's.
        shared: the other folders of the image; links out of all these are not followed.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, app_root: Path, shared: Sequence[Path] = ()) -> None:
        self.path = path
        self.app = path / "app"
        self.home = path / "home"
        self.tmp = path / "tmp"
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        making = path.with_name(f".{path.name}.{os.getpid()}")
        if making.exists():
            remove(making)
        making.mkdir(mode=0o700)
        for folder in (self.home, self.tmp):
            (making / folder.name).mkdir(mode=0o700)
        _Mirror([app_root, *shared]).folder(app_root, making / "app", ())
        making.rename(path)

    def environment(self, temporary: Path) -> dict[str, str]:
        """Variables that lead programs here; ``temporary`` is where temporary files go."""
        return {
            "HOME": str(self.home),
            "TMPDIR": str(temporary),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "MPLCONFIGDIR": str(self.home / ".config" / "matplotlib"),
        }


class _Mirror:
    """Makes folders that read like others and can be changed without changing those.

    Links to folders (models) become folders too, so that a script can unpack something beside its model's
    files. A folder with more entries than are left becomes a link, as do files when enough has been copied.

    Args:
        inside: what may be read on behalf of user code; links that lead elsewhere are taken over as they are.
    """

    def __init__(self, inside: Sequence[Path]) -> None:
        self._inside = [path.resolve() for path in inside]
        self._left = MAX_ENTRIES
        self._bytes = MAX_BYTES

    def folder(self, source: Path, target: Path, above: tuple[Path, ...]) -> None:
        """Makes ``target`` of ``source``, which lies in the folders ``above``."""
        real = source.resolve()
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
        self._left -= len(entries)
        if self._left < 0 or real in above:
            target.symlink_to(real)
            return
        target.mkdir(mode=0o700)
        for entry in entries:
            self._entry(Path(entry.path), target / entry.name, (*above, real))

    def _entry(self, source: Path, target: Path, above: tuple[Path, ...]) -> None:
        real = Path(os.path.realpath(source))  # unlike resolve(), takes links in a circle as they are
        if not any(real.is_relative_to(root) for root in self._inside) or not real.exists():
            target.symlink_to(source.readlink())
        elif real.is_dir():
            self.folder(source, target, above)
        elif real.is_file() and (size := real.stat().st_size) <= min(COPIED_BYTES, self._bytes):
            self._bytes -= size
            shutil.copy2(source, target)
            target.chmod(stat.S_IMODE(real.stat().st_mode) | stat.S_IWUSR)
        else:
            target.symlink_to(real)


def remove(path: Path) -> None:
    """Removes a folder that user code has filled, whatever permissions it left."""
    # 3.12 has another name for the parameter, and keeps this one.
    shutil.rmtree(path, onerror=_unlock)


def _unlock(function: Callable[..., Any], path: str, info: Any) -> None:
    if isinstance(info[1], FileNotFoundError):
        return
    parent = Path(path).parent
    parent.chmod(0o700)
    if Path(path).is_dir() and not Path(path).is_symlink():
        Path(path).chmod(0o700)
        shutil.rmtree(path)
    else:
        function(path)
