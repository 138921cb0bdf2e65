"""zxing-cpp: the primary decoder (settings measured: docs/decoding.md).

The library's defaults are kept on purpose: without ``try_invert`` no dark-mode screen is read, without
``try_downscale`` most photos of screens are lost.  ``QRCodeModel2`` alone keeps Micro QR, rMQR and
every linear code out.  ``.bytes`` is the payload as stored; ``.text`` is a rendering of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hal.decoder.port import Code, corners_of

if TYPE_CHECKING:
    from hal.camera.port import Gray


class Zxing:
    """``Decoder`` by zxing-cpp. ``second_binarizer`` uses one threshold for the whole picture, which
    reads over-exposed and moiré screens that the local one loses."""

    def __init__(self, *, second_binarizer: bool = False) -> None:
        import zxingcpp

        self._read: Any = zxingcpp.read_barcodes
        self._format = zxingcpp.BarcodeFormat.QRCodeModel2
        kinds = zxingcpp.Binarizer
        self._binarizer = kinds.GlobalHistogram if second_binarizer else kinds.LocalAverage

    def read(self, gray: Gray) -> list[Code]:
        if gray.size == 0:  # the library raises for an empty picture
            return []
        height, width = gray.shape
        codes = []
        for found in self._read(gray, formats=self._format, binarizer=self._binarizer):
            at = found.position
            points = [(p.x, p.y) for p in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)]
            codes.append(Code(bytes(found.bytes), corners_of(points, width, height), "zxing"))
        return codes
