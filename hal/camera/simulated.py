"""The simulated camera: looks at a picture file (the scene) as often as a real one gives frames.

Whatever the file holds, the camera goes on: a missing or broken scene is a gray wall. With an
``inbox`` a dropped picture is shown instead of the scene until its turn is over.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np

from hal.camera.pictures import Inbox, Pace
from hal.camera.port import Camera, CameraSettings, Frame, Gray, Note

MAX_SIDE = 4096
"""Pixels. A larger scene is refused like a broken one."""
_HEADER = re.compile(rb"P5\s+(\d{1,5})\s+(\d{1,5})\s+255\s")


class SceneError(ValueError):
    """The scene file is not a picture this camera can show."""


def read_pgm(path: Path) -> Gray:
    """A binary 8-bit PGM (P5) as gray picture. Raises OSError, SceneError."""
    data = path.read_bytes()
    header = _HEADER.match(data)
    if header is None:
        raise SceneError("it is not a binary PGM with 8-bit pixels (P5, 255)")
    width, height = int(header[1]), int(header[2])
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise SceneError(f"it is {width} x {height} pixels; 1..{MAX_SIDE} a side are allowed")
    if len(data) - header.end() < width * height:
        raise SceneError(f"it holds fewer pixels than {width} x {height}")
    pixels = np.frombuffer(data, np.uint8, width * height, header.end())
    return pixels.reshape(height, width)


def _wall(width: int, height: int, seed: int) -> Gray:
    """Gray with some noise, without numpy.random, which would cost the process 10 MB."""
    grain = np.frombuffer(random.Random(seed).randbytes(width * height), np.uint8)
    return ((grain & 3) + (grain >> 6) + 107).reshape(height, width)


class Simulated:
    """``Camera`` over a scene file and an optional inbox."""

    def __init__(self, settings: CameraSettings, note: Note) -> None:
        self._scene = Path(settings.scene) if settings.scene else None
        self._inbox = Inbox(Path(settings.inbox), note) if settings.inbox else None
        self._note = note
        self._pace = Pace(settings.fps)
        self._size = (settings.width, settings.height)
        self._walls: list[Gray] = []
        self._picture: Gray | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._told = ""
        self._seq = 0

    def open(self) -> None:
        self._walls = [_wall(*self._size, seed) for seed in (1, 2)]
        if self._inbox:
            self._inbox.open()

    def frame(self, wait_s: float) -> Frame | None:
        now = self._pace.wait(wait_s)
        if now is None:
            return None
        self._seq += 1
        return Frame(self._look(now), now, self._seq)

    def close(self) -> None:
        self._walls, self._picture, self._stamp = [], None, None

    def _look(self, now: float) -> Gray:
        dropped = self._inbox.poll(now) if self._inbox else None
        if dropped is not None:
            return dropped
        scene = self._current_scene()
        return scene if scene is not None else self._walls[self._seq % 2]

    def _current_scene(self) -> Gray | None:
        if self._scene is None:
            return None
        try:
            found = self._scene.stat()
        except OSError:
            self._picture = self._stamp = None
            return None
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._picture = read_pgm(self._scene)
                self._told = ""
            except (OSError, SceneError) as error:
                self._picture = None
                if str(error) != self._told:
                    self._told = str(error)
                    self._note("scene_unreadable", f"{self._scene}: {error}")
        return self._picture


def build(settings: CameraSettings, note: Note) -> Camera:
    """Raises CameraLost for settings that make no sense."""
    return Simulated(settings, note)
