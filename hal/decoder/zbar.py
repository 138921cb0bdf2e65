"""zbar-py: the second opinion. Only ever constructed inside ``hal.vision.zbar_child``.

One legal QR code (ECI 0) aborts the process that runs this, a sheet of finder patterns keeps it busy
for a minute, every scan leaks a little, and a picture whose rows are not contiguous is silently
mirrored and never read: hence the own process with a time limit, and the copy below.
It also rewrites what is not ASCII (guessing Shift-JIS or Latin-1), so only ASCII payloads are given on.
It reads what zxing does not: codes without a quiet zone, heavy over-exposure, some glare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hal.decoder.port import Code, corners_of

if TYPE_CHECKING:
    from hal.camera.port import Gray

QR_ONLY = [("ZBAR_NONE", "ZBAR_CFG_ENABLE", 0), ("ZBAR_QRCODE", "ZBAR_CFG_ENABLE", 1)]
"""Halves the cost of an empty picture, and no EAN on a package is taken for a code."""

VARIANTS = ("raw", "half", "inverted")
HALVE_ABOVE = 960
"""Pictures wider than this (pixels) are halved before every variant: four times cheaper, and reads more."""


class Zbar:
    """``Decoder`` by zbar-py 1.0. One scanner per object, one object per thread."""

    def __init__(self) -> None:
        import zbar

        self._scanner: Any = zbar.Scanner(QR_ONLY)

    def read(self, gray: Gray) -> list[Code]:
        if gray.size == 0:
            return []
        height, width = gray.shape
        codes = []
        for symbol in self._scanner.scan(np.ascontiguousarray(gray)):
            if symbol.type != "QR-Code" or not symbol.data or not symbol.data.isascii():
                continue
            points = [(float(x), float(y)) for x, y in symbol.position]
            codes.append(Code(bytes(symbol.data), corners_of(points, width, height), "zbar"))
        return codes


def half(gray: Gray) -> Gray:
    """The picture at half its size, each pixel the mean of 2 x 2 (an odd last row or column is cut)."""
    rows, columns = gray.shape[0] // 2 * 2, gray.shape[1] // 2 * 2
    total = gray[0:rows:2, 0:columns:2].astype(np.uint16)
    total += gray[1:rows:2, 0:columns:2]
    total += gray[0:rows:2, 1:columns:2]
    total += gray[1:rows:2, 1:columns:2]
    return (total >> 2).astype(np.uint8)


def variant(gray: Gray, name: str) -> Gray:
    """The picture as one of ``VARIANTS``; large ones halved first."""
    if gray.shape[1] > HALVE_ABOVE:
        gray = half(gray)
    if name == "half":
        return half(gray)
    if name == "inverted":
        return 255 - gray
    return gray
