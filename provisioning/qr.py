"""Draw a pass as a QR code: black on white, level M, quiet zone 4, never Micro QR (gates do not read it)."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

BORDER = 4
"""Quiet zone, modules."""


def matrix(text: str) -> list[list[bool]]:
    """Modules with the quiet zone, True = black. ``text`` in Base45 stays in the alphanumeric mode."""
    return [[bool(module) for module in row] for row in _code(text).matrix_iter(border=BORDER)]


def png(text: str, scale: int = 8) -> bytes:
    """A PNG file's bytes; ``scale`` pixels per module."""
    out = io.BytesIO()
    _code(text).save(out, kind="png", scale=scale, border=BORDER, dark="black", light="white")
    return out.getvalue()


def save_png(text: str, path: Path, scale: int = 8) -> None:
    """Write a PNG readable by its owner alone, whole or not at all (a watcher never sees half a file)."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(png(text, scale))
    part.replace(path)


def terminal(text: str) -> str:
    """Half blocks, two modules a line, with explicit colours so that it is black on white on any theme."""
    rows = matrix(text)
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        cells = (" ▀▄█"[up + 2 * low] for up, low in zip(upper, lower, strict=True))
        lines.append("\x1b[38;5;16;48;5;231m" + "".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def _code(text: str) -> Any:
    import segno

    return segno.make_qr(text, error="m", boost_error=False)
