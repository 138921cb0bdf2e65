"""Raw-read logs on a real disk that is full: run under ``unshare -m`` (own mounts, gone with the process).

``python -m tests.support.rawdisk FOLDER`` mounts a small tmpfs on FOLDER and exits 0 only if every
promise held.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from firmware.rawlog import SUFFIX, RawLog
from firmware.rawreads import RawReads
from firmware.rawstory import decode
from hal.ports import TagRead
from tests.support.tinydisk import Filler, mount, remount

RESERVE = 256 * 1024


def a_body() -> bytes:
    raw = RawReads(phase=True)
    raw.begin(0.0, rules={})
    for n in range(3000):
        raw.read(
            TagRead((n % 40).to_bytes(12, "big"), 0x3000, 1, -40.0 - n * n % 31, 80, n / 150, n**3 % 181)
        )
    return raw.end()


def main(folder: Path) -> None:
    mount(folder, "-o", "size=1m")
    body = a_body()
    log = RawLog(folder / "reads", 100, 30, reserve_bytes=RESERVE)
    for n in range(300):
        assert log.keep(f"e-{n}", body) is None
        assert shutil.disk_usage(folder).free >= RESERVE
    kept = log.files()
    assert 5 < len(kept) < 300
    assert kept[-1].name == f"e-299{SUFFIX}"
    # Something else takes the last byte: older logs are given up for the new one, and for the reserve.
    filler = Filler(folder)
    filler.fill()
    assert log.keep("newest", body) is None
    assert shutil.disk_usage(folder).free >= RESERVE
    assert len(log.files()) < len(kept)
    # Nothing is left to give up: it is told, and nothing stays half written.
    greedy = RawLog(folder / "reads", 100, 30, reserve_bytes=-(1 << 30))  # does not look first
    for path in log.files():
        path.unlink()
    filler.fill()
    for each in (log, greedy):
        fault = each.keep("full", body)
        assert fault is not None, "nothing said on a full disk"
        assert "df -h" in fault
        assert not list((folder / "reads").iterdir())
    filler.release()
    assert greedy.keep("after", body) is None
    remount(folder, "ro")
    fault = greedy.keep("read-only", body)
    assert fault is not None, "nothing said on a read-only disk"
    assert "Read-only" in fault
    remount(folder, "rw")
    assert greedy.keep("after-2", body) is None
    for path in greedy.files():
        assert len(decode(path.read_bytes()).reads) == 3000


if __name__ == "__main__":
    main(Path(sys.argv[1]))
