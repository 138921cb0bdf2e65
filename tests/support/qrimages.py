"""QR pictures for tests, hostile ones included, built from single bits where no encoder would.

Segment bits are written here; only error correction and module placement are segno's.
Everything is deterministic: random codes come from the ``random.Random`` given.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator

import numpy as np
from segno import consts, encoder

from hal.sim.scene import place, soften, wall

NUMERIC, ALPHANUMERIC, BYTE, KANJI = 1, 2, 4, 8
STRUCTURED_APPEND, FNC1_FIRST, ECI, FNC1_SECOND, HANZI = 3, 5, 7, 9, 13
_LEVELS = {"L": consts.ERROR_LEVEL_L, "M": consts.ERROR_LEVEL_M, "H": consts.ERROR_LEVEL_H}
Bits = list[int]


def bits(value: int, length: int) -> Bits:
    """``value`` as ``length`` bits, most significant first."""
    return [value >> i & 1 for i in reversed(range(length))]


def byte_segment(data: bytes, version: int = 5) -> Bits:
    """Byte mode: mode, count (8 bits up to version 9, else 16), bytes."""
    counted = bits(BYTE, 4) + bits(len(data), 8 if version < 10 else 16)
    return counted + [bit for byte in data for bit in bits(byte, 8)]


def eci(number: int) -> Bits:
    """An ECI header for assignment ``number`` (below 128: one byte)."""
    if number < 128:
        return bits(ECI, 4) + bits(number, 8)
    return bits(ECI, 4) + bits(0b10, 2) + bits(number, 14)


def structured_append(index: int, total: int, parity: int = 0x5A) -> Bits:
    """Header of part ``index`` (from 0) of ``total``."""
    return bits(STRUCTURED_APPEND, 4) + bits(index, 4) + bits(total - 1, 4) + bits(parity, 8)


def code(stream: Bits, *, version: int = 5, level: str = "L", terminate: bool = True) -> np.ndarray:
    """Modules (True = dark) of a QR Code holding exactly these bits, padded as the standard says.

    Bits beyond the capacity are cut, which leaves a code that ends in the middle of a segment.
    """
    error = _LEVELS[level]
    capacity = consts.SYMBOL_CAPACITY[version][error]
    data = list(stream[:capacity])
    if terminate:
        data += [0] * min(4, capacity - len(data))
    data += [0] * (-len(data) % 8)
    pads = [bits(0xEC, 8), bits(0x11, 8)]
    turn = 0
    while len(data) < capacity:
        data += pads[turn % 2]
        turn += 1
    message = encoder.make_final_message(version, error, encoder.Buffer(data))
    side = encoder.calc_matrix_size(version)
    matrix = encoder.make_matrix(side, side)
    encoder.add_finder_patterns(matrix, side, side)
    encoder.add_alignment_patterns(matrix, side, side)
    encoder.add_codewords(matrix, message, version)
    mask, matrix = encoder.find_and_apply_best_mask(matrix, side, side, None)
    encoder.add_format_info(matrix, version, error, mask)
    encoder.add_version_info(matrix, version)
    return np.array([[bool(module) for module in row] for row in matrix], dtype=np.bool_)


def picture(modules: np.ndarray, size: tuple[int, int] = (640, 480), share: float = 0.5, **how) -> np.ndarray:
    """The modules before a wall."""
    canvas = wall(size, noise=0)
    place(canvas, modules, height_share=share, **how)
    return soften(canvas)


def without_quiet_zone(modules: np.ndarray) -> np.ndarray:
    """The modules on a dark page, no white around them: read by zbar, not by zxing."""
    canvas = wall(level=60)
    place(canvas, modules, quiet=0)
    return canvas


def many(texts: list[bytes], size: tuple[int, int] = (1280, 960)) -> np.ndarray:
    """As many codes in one picture as there are texts, in a grid."""
    columns = int(np.ceil(np.sqrt(len(texts))))
    rows = -(-len(texts) // columns)
    canvas = wall(size, noise=0)
    for number, text in enumerate(texts):
        centre = ((number % columns + 0.5) / columns, (number // columns + 0.5) / rows)
        place(canvas, code(byte_segment(text, 2), version=2), height_share=0.7 / rows, centre=centre)
    return canvas


def finder_mosaic(size: tuple[int, int] = (640, 480), module: int = 2, gap: int = 3) -> np.ndarray:
    """A sheet of finder patterns, ``module`` pixels a module: zbar works on one for minutes."""
    finder = np.zeros((7, 7), bool)
    finder[0, :] = finder[-1, :] = finder[:, 0] = finder[:, -1] = True
    finder[2:5, 2:5] = True
    cell = np.pad(finder, ((0, gap), (0, gap)))
    tile = np.where(np.kron(cell, np.ones((module, module), bool)), 0, 255).astype(np.uint8)
    repeat = (size[1] // tile.shape[0] + 1, size[0] // tile.shape[1] + 1)
    return np.ascontiguousarray(np.tile(tile, repeat)[: size[1], : size[0]])


def micro_qr() -> np.ndarray:
    """Modules of a Micro QR code, which no reader here may return."""
    import segno

    found = segno.make_micro("TG1:123")
    return np.array([[bool(module) for module in row] for row in found.matrix], dtype=np.bool_)


@functools.cache
def hostile() -> dict[str, np.ndarray]:
    """Name -> picture of every code known to have hurt a decoder. Not to be written to."""
    plain = byte_segment(b"HELLO-TALLYGATE")
    cases = {
        "eci-0": code(eci(0) + plain),
        "eci-1": code(eci(1) + plain),
        "eci-899": code(eci(899) + plain),
        "eci-only": code(eci(26)),
        "part-of-structured-append": code(structured_append(1, 4) + plain),
        "structured-append-index-beyond-total": code(structured_append(9, 2) + plain),
        "fnc1-first": code(bits(FNC1_FIRST, 4) + plain),
        "fnc1-second": code(bits(FNC1_SECOND, 4) + bits(0xFF, 8) + plain),
        "unknown-mode": code(bits(14, 4) + plain),
        "hanzi": code(bits(HANZI, 4) + bits(1, 4) + bits(3, 8) + bits(0x1FFF, 13) * 3),
        "kanji-out-of-range": code(bits(KANJI, 4) + bits(5, 8) + bits(0x1FFF, 13) * 5),
        "numeric-out-of-range": code(bits(NUMERIC, 4) + bits(6, 10) + bits(1023, 10) * 2),
        "alphanumeric-out-of-range": code(bits(ALPHANUMERIC, 4) + bits(4, 9) + bits(2047, 11) * 2),
        "count-beyond-the-end": code(bits(BYTE, 4) + bits(255, 8) + bits(0x41, 8) * 3, version=1),
        "empty": code([]),
        "no-terminator": code(bits(BYTE, 4), terminate=False),
        "not-utf-8": code(byte_segment(bytes(range(0x80, 0xC0)))),
        "control-characters": code(byte_segment(b"\x00\x1b[2J\x1b]0;owned\x07\r\n")),
        "markup": code(byte_segment(b"<script>alert(1)</script>'; DROP TABLE visits;--")),
        "long": code(byte_segment(b"TG1:" + b"A" * 2900, 40), version=40),
        "micro-qr": micro_qr(),
    }
    shown = {name: picture(modules) for name, modules in cases.items() if name != "long"}
    shown["long"] = picture(cases["long"], (1280, 1024), 0.8)
    good = picture(code(plain))
    shown["mirrored"] = np.ascontiguousarray(good[:, ::-1])
    shown["inverted"] = 255 - good
    shown["finder-mosaic"] = finder_mosaic()
    shown["finders-few"] = finder_mosaic((320, 240), 4, 6)
    shown["tiny"] = np.zeros((1, 1), np.uint8)
    shown["zero-size"] = np.zeros((0, 0), np.uint8)
    shown["zero-width"] = np.zeros((5, 0), np.uint8)
    shown["one-row"] = np.zeros((1, 640), np.uint8)
    return shown


def random_segments(rng: random.Random) -> Bits:
    """One to five random segments, half of them with counts or contents that break their own rules."""
    stream: Bits = []
    for _ in range(rng.randint(1, 5)):
        kind = rng.choice((NUMERIC, ALPHANUMERIC, BYTE, KANJI, HANZI, ECI, STRUCTURED_APPEND, FNC1_FIRST, -1))
        if kind == ECI:
            stream += eci(rng.choice((0, 1, 3, 20, 25, 26, 27, 30, 127, 170, 899, 16383)))
        elif kind == STRUCTURED_APPEND:
            stream += structured_append(rng.randrange(16), rng.randint(1, 16), rng.randrange(256))
        elif kind == FNC1_FIRST:
            stream += bits(rng.choice((FNC1_FIRST, FNC1_SECOND)), 4)
        elif kind == -1:
            stream += [rng.getrandbits(1) for _ in range(rng.randrange(200))]
        elif kind == BYTE and rng.random() < 0.5:
            stream += byte_segment(rng.randbytes(rng.randrange(40)))
        else:
            length = {NUMERIC: 10, ALPHANUMERIC: 9, BYTE: 8, KANJI: 8, HANZI: 8}[kind]
            stream += bits(kind, 4) + (bits(1, 4) if kind == HANZI else []) + bits(rng.randrange(40), length)
            stream += [rng.getrandbits(1) for _ in range(rng.randrange(300))]
    return stream


def random_codes(count: int, seed: int) -> Iterator[np.ndarray]:
    """Pictures of ``count`` random segment codes, 200 x 200 pixels."""
    rng = random.Random(seed)
    for _ in range(count):
        version = rng.choice((1, 2, 3, 5))
        modules = code(random_segments(rng), version=version, level=rng.choice("LMH"))
        scale = 3 if version == 5 else 4
        padded = np.pad(modules, 4)
        yield np.kron(np.where(padded, 15, 240), np.ones((scale, scale), int)).astype(np.uint8)
