"""Reads a built-in code before the camera is trusted, so that a decoder that cannot read is a clear
message at start and not a gate that never opens.

Also catches the padded-frame trap: a picture cut out of wider rows must read like a whole one.
"""

from __future__ import annotations

import numpy as np

from hal.camera.port import CameraLost, Gray
from hal.decoder.port import Decoder

TEXT = b"TG1:SELFTEST"
_ROWS = (
    "1fdf7f 105041 17595d 175b5d 17585d 104b41 1fd57f 001700 0d685f 14aab8 01cbc4 "
    "0da29f 0d4439 0017b8 1fd05b 104b8b 17567b 174466 175d11 10507f 1fc56d"
)
"""A 21 x 21 QR Code of TEXT (version 1, level M): one hexadecimal number per row, leftmost module first."""


def picture() -> Gray:
    """The built-in code, four pixels a module, in the middle of a padded frame's visible part."""
    modules = np.array([[int(row, 16) >> (20 - column) & 1 for column in range(21)] for row in _ROWS.split()])
    code = np.kron(np.where(np.pad(modules, 4) == 1, 20, 235), np.ones((4, 4), int))
    frame = np.full((160, 224), 120, np.uint8)
    frame[20:136, 30:146] = code
    return frame


def check(*decoders: Decoder) -> None:
    """Raises CameraLost when a decoder does not read the built-in picture, whole and cut out."""
    whole = picture()
    for decoder in decoders:
        for gray in (whole, whole[:, :176]):
            read = [code.data for code in decoder.read(gray)]
            if read != [TEXT]:
                raise CameraLost(
                    f"the decoder {type(decoder).__name__} does not read its built-in test code",
                    "install zxing-cpp again (3.1.1 or newer)",
                )
