"""The part of the kernel's video4linux2 interface that one capture stream needs: structs and numbers.

After ``linux/videodev2.h`` (stable user-space interface). Native byte order and alignment; sizes are those
of 64-bit systems and are held by a test. Nothing here opens a device.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, Union, c_char, c_long, c_uint8, c_uint32, c_ulong, c_void_p, sizeof

CAPTURE = 1
"""V4L2_BUF_TYPE_VIDEO_CAPTURE"""
MMAP = 1
"""V4L2_MEMORY_MMAP"""
FIELD_ANY = 0

CAP_VIDEO_CAPTURE = 0x00000001
CAP_VIDEO_CAPTURE_MPLANE = 0x00001000
CAP_STREAMING = 0x04000000
CAP_DEVICE_CAPS = 0x80000000
BUF_FLAG_ERROR = 0x0040


class Capability(Structure):
    _fields_ = [
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class FormatDescription(Structure):
    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class PixelFormat(Structure):
    _fields_ = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    ]


class _FormatUnion(Union):
    # The kernel's union also holds a struct with pointers, which aligns it.
    _fields_ = [("pix", PixelFormat), ("raw", c_uint8 * 200), ("align", c_void_p)]


class Format(Structure):
    _fields_ = [("type", c_uint32), ("fmt", _FormatUnion)]


class Fraction(Structure):
    _fields_ = [("numerator", c_uint32), ("denominator", c_uint32)]


class CaptureParameters(Structure):
    _fields_ = [
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fraction),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    ]


class _ParametersUnion(Union):
    _fields_ = [("capture", CaptureParameters), ("raw", c_uint8 * 200)]


class StreamParameters(Structure):
    _fields_ = [("type", c_uint32), ("parm", _ParametersUnion)]


class RequestBuffers(Structure):
    _fields_ = [
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    ]


class TimeValue(Structure):
    _fields_ = [("tv_sec", c_long), ("tv_usec", c_long)]


class TimeCode(Structure):
    _fields_ = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("frames", c_uint8),
        ("seconds", c_uint8),
        ("minutes", c_uint8),
        ("hours", c_uint8),
        ("userbits", c_uint8 * 4),
    ]


class _Place(Union):
    _fields_ = [("offset", c_uint32), ("userptr", c_ulong), ("planes", c_void_p), ("fd", ctypes.c_int32)]


class Buffer(Structure):
    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", TimeValue),
        ("timecode", TimeCode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Place),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", ctypes.c_int32),
    ]


def _number(direction: int, number: int, argument: int) -> int:
    """``_IOC`` of asm-generic/ioctl.h for type 'V'; direction 1 = to the kernel, 2 = from it, 3 = both."""
    return direction << 30 | argument << 16 | ord("V") << 8 | number


QUERYCAP = _number(2, 0, sizeof(Capability))
ENUM_FMT = _number(3, 2, sizeof(FormatDescription))
S_FMT = _number(3, 5, sizeof(Format))
REQBUFS = _number(3, 8, sizeof(RequestBuffers))
QUERYBUF = _number(3, 9, sizeof(Buffer))
QBUF = _number(3, 15, sizeof(Buffer))
DQBUF = _number(3, 17, sizeof(Buffer))
STREAMON = _number(1, 18, 4)
STREAMOFF = _number(1, 19, 4)
S_PARM = _number(3, 22, sizeof(StreamParameters))


def fourcc(name: str) -> int:
    return int.from_bytes(name.encode("ascii"), "little")


def fourcc_name(value: int) -> str:
    """As text; "-BE" marks the big-endian variant, which the kernel keeps in the top bit."""
    name = (value & 0x7FFFFFFF).to_bytes(4, "little").decode("ascii", "replace").rstrip()
    return f"{name}-BE" if value >> 31 else name
