"""Pictures dropped into a folder, shown to the decoder as if held before the camera.

Each new picture is shown for a moment at several sizes (a phone's photo has far more pixels than a
camera frame), then moved to ``seen/``; what cannot be shown is noted once and moved to
``unreadable/``.  Nothing is ever deleted, and no file stops the camera.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hal.camera.port import Camera, CameraLost, CameraSettings, Frame, Gray, Note

MAX_PIXELS = 40_000_000
MAX_BYTES = 64 * 1024 * 1024
LONG_SIDES = (1280, 640, 960, 1920)
"""Long sides in pixels at which a picture is offered, one after the other."""
SHOW_S = 1.2
PAUSE_S = 0.9
"""Nothing is shown between two pictures, so that the same code counts again (tracker.REARM_S)."""
LOOK_EVERY_S = 0.2
SETTLED_S = 0.3
"""A file whose size and time have not changed for this long is taken as complete."""
PATIENCE_S = 4.0
"""A cut-off picture may still be on its way for this long after its last change."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm"}


class PictureError(Exception):
    """A file cannot be shown. ``cut``: it may merely not be complete yet."""

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


def printable(text: str) -> str:
    """``text`` for a log: a file's name may hold escape sequences, line ends, bytes that are no text."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def load(path: Path, long_sides: tuple[int, ...] = LONG_SIDES) -> list[Gray]:
    """A picture file as gray pictures of several sizes, upright (EXIF), none larger than the original.

    Raises PictureError in words for the person who dropped it.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        found = path.stat()
    except OSError as error:
        raise PictureError(f"it cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise PictureError("it is not a regular file")
    if found.st_size > MAX_BYTES:
        raise PictureError(f"it has {found.st_size} bytes; at most {MAX_BYTES} are read")
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PictureError(
                    f"it has {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} million are read"
                )
            image.draft("L", (max(long_sides), max(long_sides)))  # JPEG: decode at a reduced size
            gray = _gray(ImageOps.exif_transpose(image), max(long_sides))
    except PictureError:
        raise
    except UnidentifiedImageError:
        hint = (
            "set the phone's camera to JPEG"
            if path.suffix.lower() in {".heic", ".heif"}
            else "use JPEG or PNG"
        )
        raise PictureError(f"it is not a picture that can be read; {hint}", cut=True) from None
    except Exception as error:  # Pillow's format plug-ins raise nearly anything for broken files
        raise PictureError(f"it cannot be decoded: {type(error).__name__}: {error}", cut=True) from None
    return _sizes(gray, long_sides)


def _gray(image: Any, long_side: int) -> Any:
    """Without colour, and what is transparent as white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        from PIL import Image

        image = image.convert("RGBA")
        if (times := max(image.size) // long_side) > 1:
            image = image.reduce(times)  # three full copies of a large one would follow
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image)
        image = paper
    return image.convert("L")


def _sizes(gray: Any, long_sides: tuple[int, ...]) -> list[Gray]:
    width, height = gray.size
    longest = max(width, height)
    sizes = [side for side in long_sides if side < longest]
    if len(sizes) < len(long_sides):
        sizes.insert(0, longest)
    pictures = []
    for side in sizes:
        size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
        scaled = gray if size == gray.size else gray.resize(size, reducing_gap=2.0)
        pictures.append(np.array(scaled, dtype=np.uint8))
    return pictures


@dataclass(slots=True)
class _Candidate:
    stamp: tuple[int, int]
    since: float


@dataclass(slots=True)
class _Showing:
    path: Path
    pictures: list[Gray]
    until: float
    turn: int = 0


@dataclass
class Inbox:
    """The watched folder. ``poll`` once per frame gives the picture to show now, or None."""

    folder: Path
    note: Note
    _showing: _Showing | None = None
    _quiet_until: float = 0.0
    _next_look: float = 0.0
    _waiting: dict[str, _Candidate] = field(default_factory=dict)
    _stuck: dict[str, tuple[int, int]] = field(default_factory=dict)
    _folder_told: bool = False

    def open(self) -> None:
        """Make the folder if it is missing. Raises CameraLost where that is not possible."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CameraLost(
                f"the picture folder {self.folder} cannot be made: {error.strerror}",
                "the inbox path in the board file, and the rights on its parent folder",
            ) from error

    def poll(self, now: float) -> Gray | None:
        """The picture to show at ``now`` (monotonic s), or None."""
        showing = self._showing
        if showing is not None:
            if now < showing.until:
                showing.turn += 1
                return showing.pictures[showing.turn % len(showing.pictures)]
            self._move(showing.path, "seen")
            self._showing = None
            self._quiet_until = now + PAUSE_S
            return None
        if now >= self._quiet_until and now >= self._next_look:
            self._next_look = now + LOOK_EVERY_S
            self._look(now)
        return None

    def _look(self, now: float) -> None:
        present: set[str] = set()
        for name, stamp in self._files():
            present.add(name)
            if self._stuck.get(name) == stamp:
                continue
            known = self._waiting.get(name)
            if known is None or known.stamp != stamp:
                self._waiting[name] = _Candidate(stamp, now)
                continue
            if now - known.since >= SETTLED_S and self._show(name, known, now):
                break
        for gone in self._waiting.keys() - present:
            del self._waiting[gone]
        for gone in self._stuck.keys() - present:
            del self._stuck[gone]

    def _files(self) -> list[tuple[str, tuple[int, int]]]:
        """Names and (time, size) of what may be a picture, oldest first."""
        found = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "README")):
                        continue
                    try:
                        info = entry.stat()
                    except OSError:
                        continue  # gone meanwhile, or a dangling link
                    if not stat.S_ISDIR(info.st_mode):
                        found.append((entry.name, (info.st_mtime_ns, info.st_size)))
            self._folder_told = False
        except OSError as error:
            if not self._folder_told:
                self._folder_told = True
                self._tell("inbox_unreadable", f"{self.folder}: {error.strerror}; make the folder again")
            return []
        found.sort(key=lambda item: item[1][0])
        return found

    def _show(self, name: str, known: _Candidate, now: float) -> bool:
        path = self.folder / name
        try:
            pictures = load(path)
        except PictureError as error:
            if error.cut and now - known.since < PATIENCE_S and path.suffix.lower() in SUFFIXES:
                return False
            if not path.exists():
                return False  # taken away by its owner meanwhile
            self._tell("pictures_unreadable", f"{name}: {error}")
            self._move(path, "unreadable")
            return False
        except ImportError as error:
            self._tell(
                "pictures_unreadable", f"{name}: Pillow is not installed ({error}); install tallygate[sim]"
            )
            self._stuck[name] = known.stamp
            return False
        self._showing = _Showing(path, pictures, time.monotonic() + SHOW_S)
        return True

    def _move(self, path: Path, where: str) -> None:
        """Into the sub-folder under a free name; where that fails, leave it and never show it again."""
        self._waiting.pop(path.name, None)
        try:
            folder = self.folder / where
            folder.mkdir(exist_ok=True)
            target, count = folder / path.name, 1
            while target.exists():
                target = folder / f"{path.stem}-{count}{path.suffix}"
                count += 1
            path.rename(target)
        except OSError as error:
            try:
                info = path.stat()
            except OSError:
                return  # taken away by its owner meanwhile
            self._stuck[path.name] = (info.st_mtime_ns, info.st_size)
            self._tell("inbox_not_movable", f"{path.name} stays in {self.folder}: {error.strerror}")

    def _tell(self, name: str, detail: str) -> None:
        self.note(name, printable(detail))


class Pace:
    """Frames at a fixed rate for cameras that have no sensor. Frames that were missed are gone."""

    def __init__(self, fps: float) -> None:
        if not 0 < fps <= 120:
            raise CameraLost(f"fps = {fps} is outside 0..120", "camera.fps in the board file")
        self._period = 1.0 / fps
        self._due = 0.0

    def wait(self, wait_s: float) -> float | None:
        """The time of the next frame, or None when it is not due within ``wait_s``."""
        now = time.monotonic()
        pause = self._due - now
        if pause > 0:
            time.sleep(max(0.0, min(pause, wait_s)))
        if pause > wait_s:
            return None
        now = time.monotonic()
        self._due = self._due + self._period if self._due + self._period > now else now + self._period
        return now


class Pictures:
    """``Camera`` that sees nothing but the inbox; a light wall between pictures."""

    def __init__(self, settings: CameraSettings, note: Note) -> None:
        self._inbox = Inbox(Path(settings.inbox), note)
        self._pace = Pace(settings.fps)
        self._wall = np.full((settings.height, settings.width), 200, np.uint8)
        self._seq = 0

    def open(self) -> None:
        self._inbox.open()

    def frame(self, wait_s: float) -> Frame | None:
        now = self._pace.wait(wait_s)
        if now is None:
            return None
        self._seq += 1
        picture = self._inbox.poll(now)
        return Frame(picture if picture is not None else self._wall, now, self._seq)

    def close(self) -> None:
        """Nothing is held."""


def build(settings: CameraSettings, note: Note) -> Camera:
    """Raises CameraLost when the board file names no inbox."""
    if not settings.inbox:
        raise CameraLost("the camera 'pictures' has no folder to watch", "camera.inbox in the board file")
    return Pictures(settings, note)
