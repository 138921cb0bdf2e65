"""The zbar child: one request at a time over two pipes, the picture in shared memory.

Expects to be killed: by its own decoder (a legal code with ECI 0 aborts it), by the memory limit, or
by its parent when it exceeds the time limit.  It holds no device and no other descriptor.
"""

from __future__ import annotations

import argparse
import mmap
import os
import resource
import struct
import sys

import msgspec

from hal.vision import child_process

REQUEST = struct.Struct(">IHHB")
"""Number, width, height, index into VARIANTS; the pixels are at the start of the shared memory."""
MAX_ANSWER = 64 * 1024
MAX_REASON = 200
MEMORY_LIMIT = 512 * 1024 * 1024
"""Address space in bytes; usual use is about 150 MB of it, most never touched."""
NOT_INSTALLED = 4
"""Exit code when zbar-py cannot be imported."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What one request found: (payload, eight corner coordinates in 0..1) each. Number 0 = ready, or,
    with ``missing``, why zbar-py cannot be loaded."""

    number: int
    codes: list[tuple[bytes, list[float]]]
    missing: str = ""


def serve(requests: int, answers: int, shared: int, size: int) -> int:
    """Answer requests until the pipe closes. Returns the exit code."""
    try:
        from hal.decoder.zbar import VARIANTS, Zbar, variant

        decoder = Zbar()
    except (ImportError, OSError, AttributeError) as error:  # AttributeError: the C part misses a symbol
        os.write(answers, _framed(msgspec.msgpack.encode(Answer(0, [], str(error)[:MAX_REASON]))))
        return NOT_INSTALLED
    import numpy as np

    memory = mmap.mmap(shared, size, prot=mmap.PROT_READ)
    pixels = np.frombuffer(memory, np.uint8)
    encode = msgspec.msgpack.Encoder().encode
    os.write(answers, _framed(encode(Answer(0, []))))
    while True:
        request = os.read(requests, REQUEST.size)
        if len(request) != REQUEST.size:
            return 0
        number, width, height, index = REQUEST.unpack(request)
        gray = pixels[: width * height].reshape(height, width)
        found = decoder.read(variant(gray, VARIANTS[index]))
        codes = [(code.data[:3000], [v for point in code.corners for v in point]) for code in found[:16]]
        os.write(answers, _framed(encode(Answer(number, codes))))


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hal.vision.zbar_child", description=__doc__)
    for name in ("parent", "requests", "answers", "shared", "size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    child_process.bind(args.parent)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    return serve(args.requests, args.answers, args.shared, args.size)


if __name__ == "__main__":
    sys.exit(main())
