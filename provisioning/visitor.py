"""After the tour the door is yours: a fresh pass in the terminal, an inbox for photos, and its answers.

Whoever is admitted walks through the simulated lane. Enter draws a fresh pass. Never ends by itself.
"""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

from rich.console import Console

from firmware.wire.issue import Issued
from firmware.wire.passes import STEP_S
from firmware.wire.records import Admitted, Refused
from hal.camera.pictures import PAUSE_S, SHOW_S, SUFFIXES
from provisioning import qr
from provisioning.listener import Listener
from provisioning.outcomes import sentence
from provisioning.tour_script import Issuer
from provisioning.world_client import WorldClient

PASS_S = 1800
NO_CODE_S = 6.0
"""A picture that was taken up so long ago, with no answer of the gate, showed no code."""
EACH_S = SHOW_S + PAUSE_S + 0.5
"""Pictures dropped together are shown one after the other."""
STALE = 9
USED = 11


class Visitor:
    """``run`` until interrupted. ``pass_file`` always holds the current code of the latest pass."""

    def __init__(
        self,
        console: Console,
        world: WorldClient,
        listener: Listener,
        issuer: Issuer,
        inbox: Path,
        pass_file: Path,
        camera: str | None,
    ) -> None:
        self._console = console
        self._world = world
        self._listener = listener
        self._issuer = issuer
        self._inbox = inbox
        self._file = pass_file
        self._camera = camera
        self._issued: Issued | None = None
        self._redraw_at = 0.0
        self._stdin = sys.stdin is not None and sys.stdin.isatty()
        self._files = self._pictures()
        self._waiting: dict[str, float] = {}
        self._faults: set[str] = set()

    def run(self) -> None:
        """Returns only by KeyboardInterrupt, or Trouble when the world is gone."""
        self._fresh()
        while True:
            seen = self._listener.next(0.2)
            if seen is not None:
                self._waiting.clear()
                self._say(sentence(seen.record))
                if isinstance(seen.record, Admitted):
                    self._world.ask(walk={"people": seen.record.uses})
                elif isinstance(seen.record, Refused) and seen.record.reason in (STALE, USED):
                    self._say("press Enter for a fresh pass" if self._stdin else "take a fresh pass", "  ")
            self._tell_faults()
            self._look_into_inbox()
            self._keep_file_current()
            if self._stdin and select.select([sys.stdin], [], [], 0)[0]:
                if not sys.stdin.readline():
                    self._stdin = False  # the terminal was closed
                else:
                    self._fresh()

    def _fresh(self) -> None:
        now = time.time()
        self._issued = self._issuer.make(now, valid_s=PASS_S)
        # One step ahead, which the gate allows for clocks that differ: 60 to 90 s for taking the photo.
        ahead = self._issued.shown_at(now + STEP_S)
        self._redraw_at = 0.0
        self._keep_file_current()
        if self._console.is_terminal:
            print(qr.terminal(ahead))
        act = (
            f"take a photo and hold the phone to {self._camera}"
            if self._camera
            else f"drop a photo of it into {_short(self._inbox)}"
        )
        self._console.print(
            "[bold]The door is yours.[/bold] This pass is good for one person; "
            f"its code changes every {STEP_S} s.",
            highlight=False,
            soft_wrap=True,
        )
        self._console.print(
            f"Within a minute: {act}"
            + (
                ""
                if self._camera
                else f", or  cp {_short(self._file)} {_short(self._inbox)}/  (always current)"
            )
            + ".  Enter: a fresh pass.  Ctrl-C: end.",
            highlight=False,
            soft_wrap=True,
        )

    def _keep_file_current(self) -> None:
        now = time.time()
        if self._issued is None or now < self._redraw_at:
            return
        if now >= self._issued.fields.expires_at:
            self._issued = self._issuer.make(now, valid_s=PASS_S)
        qr.save_png(self._issued.shown_at(now), self._file)
        started = self._issued.fields.issued_at
        self._redraw_at = started + STEP_S * ((now - started) // STEP_S + 1)

    def _tell_faults(self) -> None:
        """A fault of the board (a camera that is not there) once when it comes, once when it is over."""
        said = self._listener.state.get("faults")
        faults = {
            str(one.get("part")): f"{one.get('reason')}; check: {one.get('check')}"
            for one in (said if isinstance(said, list) else [])
            if isinstance(one, dict)
        }
        for part in faults.keys() - self._faults:
            self._say(f"FAULT {part}: {faults[part]}")
        for part in self._faults - faults.keys():
            self._say(f"{part} is well again")
        self._faults = set(faults)

    # -- pictures that say nothing -------------------------------------------------------------------

    def _pictures(self) -> set[str]:
        """Names in the inbox and in its folders ``seen`` and ``unreadable``."""
        found = set()
        for folder in ("", "seen", "unreadable"):
            try:
                found |= {f"{folder}/{e.name}" for e in os.scandir(self._inbox / folder) if e.is_file()}
            except OSError:
                continue
        return {name for name in found if not name.rsplit("/", 1)[-1].startswith(".")}

    def _look_into_inbox(self) -> None:
        if self._camera:
            return
        now = self._pictures()
        for name in sorted(now - self._files):
            folder, _, file = name.partition("/")
            if folder == "" and Path(file).suffix.lower() not in SUFFIXES:
                self._say(f"{file}: not a picture that is read here; use a PNG or JPEG file")
            elif folder == "":
                self._say(f"{file}: taken up")
                self._waiting[file] = time.monotonic() + NO_CODE_S + EACH_S * len(self._waiting)
            elif folder == "unreadable":
                self._waiting.pop(file, None)
                self._say(f"{file}: cannot be opened as a picture; use a PNG or JPEG file")
        self._files = now
        for file, due in list(self._waiting.items()):
            if time.monotonic() > due:
                del self._waiting[file]
                self._say(f"{file}: no code was read; take it closer, sharp, with its white margin")

    def _say(self, text: str, arrow: str = " ←") -> None:
        at = time.strftime("%H:%M:%S")
        # A file may have any name: none moves the cursor, and none cannot be printed.
        text = "".join(letter if letter.isprintable() else "?" for letter in text)
        self._console.print(f"{at} {arrow} {text}", markup=False, highlight=False, soft_wrap=True)


def _short(path: Path) -> str:
    try:
        return f"./{path.relative_to(Path.cwd())}"
    except ValueError:
        return str(path)
