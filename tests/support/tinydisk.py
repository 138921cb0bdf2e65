"""Real disk faults: a script to run under ``unshare -m`` (own mounts, gone with the process).

``python -m tests.support.tinydisk SCENARIO FOLDER`` mounts a small tmpfs on FOLDER, drives a journal or
documents into the fault and out of it again, and exits 0 only if every promise held.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.sync.documents import Documents, DocumentsFault
from firmware.sync.journal import Granted, JournalFault
from tests.support.journals import Bench, visit


def mount(folder: Path, *options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


class Filler:
    """Takes every free byte of the disk, and gives it back."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filler"

    def fill(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def release(self) -> None:
        self._path.unlink()


def _expect_fault(call: Callable[[], object], words: str) -> None:
    with pytest.raises(JournalFault, match=words) as caught:
        call()
    assert caught.value.check


def full(folder: Path) -> None:
    mount(folder, "-o", "size=1m")
    bench, filler = Bench(folder), Filler(folder)
    first = bench.admit(visit(1))
    assert first == Granted(1, 1)
    epoch = bench.epoch
    filler.fill()
    granted: list[int] = []
    # What still fits into the log's blocks goes on; then the fault comes, and keeps coming.
    for n in range(2, 400):
        try:
            answer = bench.admit(visit(n))
        except JournalFault:
            break
        assert answer is not None
        granted.append(answer.seq)
    else:
        raise AssertionError("the disk never was full")
    refused = 2 + len(granted)
    for _ in range(3):
        # Giving the connection up folds the log into the database, which makes a little room again.
        filler.fill()
        _expect_fault(lambda: bench.admit(visit(refused)), "full")
        _expect_fault(bench.started, "full")
    filler.release()
    assert bench.admit(visit(refused)) == Granted(refused, 1)
    assert bench.admit(visit(1)) is None
    assert bench.seqs() == list(range(1, refused + 1))
    assert bench.epoch == epoch
    assert bench.journal.recovery is None
    assert bench.again().recovery is None


def readonly(folder: Path) -> None:
    mount(folder, "-o", "size=4m")
    bench = Bench(folder)
    bench.admit(visit(1))
    # The kernel remounts a failing card read-only under open files; a remount by hand needs them closed.
    bench.journal.close()
    remount(folder, "ro")
    _expect_fault(lambda: bench.open(), "read-only")
    remount(folder, "rw")
    bench.journal = bench.open()
    assert bench.admit(visit(1)) is None
    assert bench.admit(visit(2)) == Granted(2, 1)
    assert bench.journal.recovery is None


def documents(folder: Path) -> None:
    mount(folder, "-o", "size=256k")
    path, filler = folder / "documents.json", Filler(folder)
    kept = Documents.open(path)
    kept.put("identity", "board", {"id": "entry-1", "filling": "x" * 9000})
    filler.fill()
    for _ in range(3):
        with pytest.raises(DocumentsFault, match="No space"):
            kept.put("identity", "board", {"id": "entry-2", "filling": "y" * 20000})
        again = Documents.open(path)
        assert (again.get("identity", "board") or {})["id"] == "entry-1"
        assert again.recovered is None
    filler.release()
    kept.put("identity", "board", {"id": "entry-2"})
    remount(folder, "ro")
    with pytest.raises(DocumentsFault, match="ead-only"):
        kept.put("identity", "board", {"id": "entry-3"})
    assert Documents.open(path).get("identity", "board") == {"id": "entry-2"}


def damaged_and_full(folder: Path) -> None:
    """A damaged journal on a disk with no room to read it out: nothing is touched until there is room."""
    mount(folder, "-o", "size=8m")
    bench, filler = Bench(folder), Filler(folder)
    for n in range(100):
        bench.started("x" * 200)
        bench.admit(visit(n))
    bench.journal.close()
    data = bytes(4096) + bench.path.read_bytes()[4096:]
    bench.path.write_bytes(data)
    filler.fill()
    for _ in range(2):
        _expect_fault(bench.open, "pace|full")
        assert bench.path.read_bytes() == data
    filler.release()
    bench.journal = bench.open()
    assert bench.journal.recovery is not None
    assert bench.journal.recovery.carried == 200
    assert bench.admit(visit(7)) is None


if __name__ == "__main__":
    {"full": full, "readonly": readonly, "documents": documents, "damaged-and-full": damaged_and_full}[
        sys.argv[1]
    ](Path(sys.argv[2]))
    os._exit(0)
