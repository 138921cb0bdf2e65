"""Gray pictures out of the pixel formats that cameras give. Pure, but for JPEG, which Pillow decodes.

The result is always a contiguous copy of its own: decoders misread padded rows, and the camera's buffer
is given back at once.
"""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np

from hal.camera.port import Gray

BytesLike: TypeAlias = bytes | memoryview

LUMA = {"GREY": (1, 0), "Y800": (1, 0), "NV12": (1, 0), "NV21": (1, 0), "YU12": (1, 0), "YV12": (1, 0)}
"""Planar formats whose first plane is the gray picture: (bytes to the next pixel, first byte)."""
PACKED = {"YUYV": (2, 0), "YVYU": (2, 0), "UYVY": (2, 1), "VYUY": (2, 1)}
COMPRESSED = ("MJPG", "JPEG")
PREFERRED = (*LUMA, *PACKED, *COMPRESSED)
"""Best first: fewest bytes for the same gray picture, no decoding."""


class PlaneError(ValueError):
    """These bytes hold no whole picture."""


def luma(data: BytesLike, width: int, height: int, stride: int, step: int = 1, first: int = 0) -> Gray:
    """``height`` rows of ``width`` gray values, one every ``step`` bytes from ``first``, rows ``stride``
    bytes apart. Raises PlaneError when there are fewer bytes."""
    if stride < width * step:
        raise PlaneError(f"rows of {stride} bytes do not hold {width} pixels")
    needed = stride * (height - 1) + width * step
    if len(data) < needed:
        raise PlaneError(f"{len(data)} bytes came, a picture has {needed}")
    rows = np.ndarray((height, width), np.uint8, data, first, (stride, step))
    return np.array(rows, order="C")


def gray(name: str, data: BytesLike, width: int, height: int, stride: int) -> Gray:
    """A frame of the format ``name`` (one of PREFERRED). Raises PlaneError."""
    if name in COMPRESSED:
        return _jpeg(data, width, height)
    step, first = LUMA.get(name) or PACKED[name]
    return luma(data, width, height, stride, step, first)


def _jpeg(data: BytesLike, width: int, height: int) -> Gray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            if picture.size != (width, height):
                raise PlaneError(f"a JPEG of {picture.size} came, {width} x {height} was agreed")
            picture.draft("L", picture.size)
            return np.array(picture.convert("L"), dtype=np.uint8)
    except PlaneError:
        raise
    except Exception as error:  # Pillow raises nearly anything for a broken file
        raise PlaneError(f"a broken JPEG: {type(error).__name__}: {error}") from error


def can_decode_jpeg() -> bool:
    """Pillow is installed (an extra on boards)."""
    try:
        import PIL.JpegImagePlugin  # noqa: F401
    except ImportError:
        return False
    return True
