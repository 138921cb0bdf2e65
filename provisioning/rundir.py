"""The folder of one ``make run``: made fresh each time, with keys, board file and site file.

One launcher at a time may use it (a lock beside it). Unix socket paths are limited to 107 bytes, so a tree
that lies deep is given a folder in the temporary directory instead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning import keys, toml_text
from provisioning.trouble import BAD_INPUT, Trouble

STORE = "demo"
BOARD = "entry-1"
PORTAL = "portal-1"
PRICE = "price-1"
KEY_ID = 1
MARK = ".made-by-make-run"
"""A folder without this file in it is somebody's own, and nothing in it is removed."""
NEEDED_BYTES = 20_000_000
"""Free space for a run: journal, ledger, logs and traces of an afternoon."""
_LONGEST_SOCKET = len("/portal/world.sock")
_SOCKET_LIMIT = 101


@dataclass(frozen=True, slots=True)
class RunDir:
    """Where everything of one run is."""

    root: Path
    temporary: bool
    lock: int

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def foreign_keys(self) -> Path:
        """Keys of another shop, for the tour."""
        return self.root / "foreign-keys"

    @property
    def board_file(self) -> Path:
        return self.root / "sim-entry.toml"

    @property
    def data(self) -> Path:
        """The board's data folder: journal, documents, the world's socket, the camera's scene."""
        return self.root / "board"

    def extra(self, board: str) -> Path:
        """The folder of another board of this run: board file, site file and its data."""
        return self.root / board.rpartition("-")[0]

    @property
    def ledger(self) -> Path:
        return self.root / "store" / "ledger.sqlite"

    @property
    def broker_config(self) -> Path:
        return self.root / "broker" / "mosquitto.conf"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    def remove_if_temporary(self) -> None:
        os.close(self.lock)
        if self.temporary:
            shutil.rmtree(self.root, ignore_errors=True)


def fresh(wanted: Path) -> RunDir:
    """An empty run folder at ``wanted``, or in the temporary directory where that path is too long.

    Raises Trouble when another run holds it, when it is not ours to empty, when it cannot be made, when its
    disk has no room for a run.
    """
    wanted = wanted.absolute()
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        beside = wanted.with_name(wanted.name + ".lock")
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (OSError, ValueError) as error:
        raise _not_made(wanted, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise Trouble(f"another make run is using {wanted}: end it with Ctrl-C first") from None
    try:
        return _made(wanted, lock)
    except OSError as error:
        os.close(lock)
        raise _not_made(wanted, error) from None
    except Trouble:
        os.close(lock)
        raise


def _made(wanted: Path, lock: int) -> RunDir:
    temporary = len(os.fsencode(wanted)) + _LONGEST_SOCKET > _SOCKET_LIMIT
    if temporary:
        root = Path(tempfile.mkdtemp(prefix="tallygate-"))
    else:
        root = wanted
        if not _ours(root):
            raise Trouble(
                f"{root} holds files that make run did not make, and they would be removed: "
                "name a new or an empty folder",
                BAD_INPUT,
            )
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700)
    free = shutil.disk_usage(root).free
    if free < NEEDED_BYTES:
        root.rmdir()
        raise Trouble(
            f"{root} has {free / 1e6:.1f} MB of free space and a run needs {NEEDED_BYTES / 1e6:.0f} MB: "
            "make room (df -h) or name another folder with --folder",
            BAD_INPUT,
        )
    (root / MARK).touch()
    run = RunDir(root, temporary, lock)
    for folder in (run.data, run.ledger.parent, run.broker_config.parent, run.logs):
        folder.mkdir(mode=0o700)
    return run


def _ours(root: Path) -> bool:
    """Whether ``root`` may be emptied. Raises OSError when it is no folder."""
    if not root.exists():
        return True
    names = {entry.name for entry in root.iterdir()}
    # Runs of before the mark was made are known by the two files that are written first.
    return not names or MARK in names or {"sim-entry.toml", "site.toml", "keys"} <= names


def _not_made(path: Path, error: OSError | ValueError) -> Trouble:
    reason = getattr(error, "strerror", None) or error
    where = getattr(error, "filename", None) or path
    return Trouble(
        f"the folder of this run {path} cannot be made ({where}: {reason}); "
        "check that it may be written and that the disk is not full (df -h)"
    )


def write_files(
    run: RunDir,
    template: Path,
    port: int,
    inbox: Path,
    camera: str | None = None,
    changes: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Keys, the board file (``template`` with the inbox, or with a real camera) and the site file beside it.

    ``changes``: sections and keys that differ from the template's.

    Raises Trouble when the template cannot be read, or a file cannot be written.
    """
    try:
        board = tomllib.loads(template.read_text(encoding="utf-8"))
    except OSError as error:
        raise Trouble(f"{template}: {error.strerror or error}", BAD_INPUT) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Trouble(f"{template}: not valid TOML: {error}", BAD_INPUT) from None
    for section in ("sim", "trace", *(changes or {})):
        if not isinstance(board.setdefault(section, {}), dict):
            raise Trouble(f"{template}: {section} must be a table: [{section}]", BAD_INPUT)
    try:
        inbox.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Trouble(f"the inbox {inbox} cannot be made: {error.strerror or error}", BAD_INPUT) from None
    try:
        _write(run, board, port, inbox, camera, changes)
    except OSError as error:
        raise _not_made(run.root, error) from None


def write_extra(run: RunDir, board: str, template: Path, port: int) -> Path:
    """Another simulated board beside the gate; returns its board file. Its display is a picture in its
    folder. Raises Trouble."""
    folder = run.extra(board)
    try:
        folder.mkdir(mode=0o700)
        file = tomllib.loads(template.read_text(encoding="utf-8"))
        file["display"] = {"driver": "png", "path": str(folder / "display.png")}
        path = folder / "board.toml"
        path.write_text(toml_text.dumps(file), encoding="utf-8")
        _write_site(run, board, folder, path.with_name("site.toml"), port)
    except OSError as error:
        raise _not_made(folder, error) from None
    return path


def _write(
    run: RunDir,
    board: dict[str, Any],
    port: int,
    inbox: Path,
    camera: str | None,
    changes: Mapping[str, Mapping[str, float]] | None,
) -> None:
    keys.make(run.keys, KEY_ID)
    keys.make(run.foreign_keys, KEY_ID)
    board["sim"]["inbox"] = str(inbox.absolute())
    for section, keys_of_it in (changes or {}).items():
        board[section].update(keys_of_it)
    board["trace"]["enabled"] = True  # for tallygate replay
    if camera is not None:
        board["camera"] = {"driver": "v4l2", "device": camera}
    run.board_file.write_text(toml_text.dumps(board), encoding="utf-8")
    _write_site(run, BOARD, run.data, run.board_file.with_name("site.toml"), port)


def _write_site(run: RunDir, board: str, data: Path, path: Path, port: int) -> None:
    private = keys.load(run.keys)[1]
    site = {
        "store": STORE,
        "board": board,
        "data": str(data),
        "broker": {"host": "127.0.0.1", "port": port},
        "pass_keys": {str(KEY_ID): keys.public_hex(private)},
    }
    path.write_text(toml_text.dumps(site), encoding="utf-8")
