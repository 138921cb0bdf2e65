"""Drops a photo-like picture of a pass into a running shop's inbox: it opens once, then is refused as used.

What a new user does after ``make run``, from outside: launcher, inbox folder and ledger only.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from firmware.wire.refusals import REASONS
from hal.sim import scene

TREE = Path(__file__).resolve().parent.parent
READY_S = 90.0
ANSWER_S = 30.0
USED = REASONS["used"].number


class CheckFailed(Exception):
    """The inbox path does not do what the README says."""


def photo(text: str, path: Path) -> None:
    """Somebody's photo of a phone: large, tilted, turned, unsharp, noisy, JPEG."""
    picture = scene.render(
        text, (1600, 1200), height_share=0.45, centre=(0.55, 0.47), roll_deg=6, tilt_deg=14, noise=6, blur=2
    )
    Image.fromarray(picture).save(path, "JPEG", quality=75)


def rows(ledger: Path) -> tuple[int, list[int]]:
    """(admissions, reasons of refusals) in the ledger."""
    db = sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        admissions = int(db.execute("SELECT count(*) FROM admissions").fetchone()[0])
        reasons = [int(reason) for (reason,) in db.execute("SELECT reason FROM refusals ORDER BY seq")]
    finally:
        db.close()
    return admissions, reasons


def expect(ledger: Path, wanted: tuple[int, list[int]], what: str) -> None:
    """Wait until the ledger holds exactly ``wanted``. Raises CheckFailed."""
    deadline = time.monotonic() + ANSWER_S
    while (found := rows(ledger)) != wanted:
        if time.monotonic() > deadline:
            raise CheckFailed(f"{what}: the ledger has (admissions, refusals) {found}, expected {wanted}")
        time.sleep(0.1)
    print(f"inbox check: {what}: ok")


def check(folder: Path) -> None:
    run, inbox, out = folder / "run", folder / "inbox", folder / "out.txt"
    command = [sys.executable, "-m", "provisioning.launcher", "--no-tour", "--brisk"]
    command += ["--folder", str(run), "--inbox", str(inbox)]
    with out.open("wb") as log:
        launcher = subprocess.Popen(command, cwd=TREE, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_S
        while b"The door is yours" not in out.read_bytes():
            if launcher.poll() is not None or time.monotonic() > deadline:
                raise CheckFailed(f"make run did not open the door:\n{out.read_text()}")
            time.sleep(0.1)
        issued = subprocess.run(
            [sys.executable, "-m", "provisioning.cli", "pass", "issue", "--keys", str(run / "keys")],
            cwd=TREE,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        photo(issued.stdout.rstrip("\n"), folder / "photo.jpg")
        ledger = run / "store" / "ledger.sqlite"
        (inbox / "first.jpg").write_bytes((folder / "photo.jpg").read_bytes())
        expect(ledger, (1, []), "a photo of a pass opens the gate, one admission in the ledger")
        (inbox / "again.jpg").write_bytes((folder / "photo.jpg").read_bytes())
        expect(ledger, (1, [USED]), "the same photo again is refused as used")
        launcher.send_signal(signal.SIGINT)
        if launcher.wait(20) != 0:
            raise CheckFailed(
                f"Ctrl-C ended make run with exit code {launcher.returncode}:\n{out.read_text()}"
            )
        print("inbox check: Ctrl-C ends it cleanly: ok")
    finally:
        if launcher.poll() is None:
            launcher.kill()
            launcher.wait()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tg-inbox-") as folder:
        try:
            check(Path(folder))
        except CheckFailed as error:
            print(f"inbox check: FAILED: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
