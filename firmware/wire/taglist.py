"""A basket's tags as few bytes: a set of EPCs in, one blob out, and back. Pure.

First byte = method. 0: 12-byte EPCs one behind the other. 2: each EPC with a length byte before it.
1: SGTIN-96 tags grouped by item in one bit string, any others length-prefixed behind it. The encoder makes
all that apply and keeps the shortest. A list is a set: no order, no duplicates; decoded tags are sorted.
The decoder must never give more than ``MAX_TAGS`` tags, nor accept bytes the encoder would not write.

Method 1, bits from the highest of each byte, zero-padded to a byte at the end (g(n) = Elias gamma of n >= 1,
r(v, k) = Rice code: v >> k in unary, then k bits; 24 ones = escape, then v in 38 bits):
  ki u5, ks u6, w u6 | g(makers) | per maker: filter u3, partition u3, company prefix (GS1 TDS 2.0, 14.6.1.1:
  40/37/34/30/27/24/20 bits by partition), g(items) | per item: r(item reference - previous - 1, ki), g(tags),
  first serial in w bits, then r(serial - previous - 1, ks) for each further one.
Makers ascend as integers filter|partition|company, items within a maker, serials within an item.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_TAGS = 1000
MAX_EPC_BYTES = 62
"""31 words, the most that a tag's PC word can announce."""
MAX_BLOB_BYTES = 30 * 1024

_PLAIN, _GROUPED, _PREFIXED = 0, 1, 2
_SGTIN96 = 0x30
_SERIAL_BITS = 38
_ESCAPE = 24
_COMPANY_BITS = (40, 37, 34, 30, 27, 24, 20)
_ITEM_FIELD_BITS = 44
_MASK38 = (1 << _SERIAL_BITS) - 1

_Maker = dict[int, list[int]]
"""Item reference → serials, ascending."""


class TagListError(ValueError):
    """Not a tag list: says what is wrong."""


def encode(epcs: Iterable[bytes]) -> bytes:
    """The shortest blob for a set of EPCs.

    Raises TagListError over 1000 tags, for an EPC that is not 1..62 bytes, over 30 KiB in all."""
    tags = sorted(set(epcs))
    if len(tags) > MAX_TAGS:
        raise TagListError(f"{len(tags)} tags, at most {MAX_TAGS} fit one list")
    for tag in tags:
        if not 1 <= len(tag) <= MAX_EPC_BYTES:
            raise TagListError(f"an EPC of {len(tag)} bytes, expected 1..{MAX_EPC_BYTES}")
    plain = all(len(tag) == 12 for tag in tags)
    forms = [bytes([_PLAIN]) + b"".join(tags) if plain else bytes([_PREFIXED]) + _prefixed(tags)]
    if any(_is_sgtin96(tag) for tag in tags):
        forms.append(_grouped(tags))
    blob = min(forms, key=len)
    if len(blob) > MAX_BLOB_BYTES:
        raise TagListError(
            f"{len(tags)} tags take {len(blob)} bytes, at most {MAX_BLOB_BYTES} fit one record"
        )
    return blob


def decode(blob: bytes) -> tuple[bytes, ...]:
    """The tags, ascending, each once. Raises TagListError."""
    if not blob:
        raise TagListError("an empty blob")
    if len(blob) > MAX_BLOB_BYTES:
        raise TagListError(f"a blob of {len(blob)} bytes, at most {MAX_BLOB_BYTES}")
    method, data = blob[0], blob[1:]
    if method == _PLAIN:
        if len(data) % 12 or len(data) > 12 * MAX_TAGS:
            raise TagListError(f"{len(data)} bytes are not up to {MAX_TAGS} whole EPCs of 12")
        tags = [data[i : i + 12] for i in range(0, len(data), 12)]
    elif method == _PREFIXED:
        tags = _split(data, MAX_TAGS)
    elif method == _GROUPED:
        tags = _ungroup(data)
        if _grouped(tags) != blob:
            raise TagListError("a grouped list that is not in its one right form")
        return tuple(tags)
    else:
        raise TagListError(f"unknown method {method}")
    if any(a >= b for a, b in zip(tags, tags[1:], strict=False)):
        raise TagListError("tags are not in ascending order, each once")
    return tuple(tags)


def _is_sgtin96(tag: bytes) -> bool:
    return len(tag) == 12 and tag[0] == _SGTIN96 and tag[1] >> 2 & 7 < len(_COMPANY_BITS)


def _prefixed(tags: list[bytes]) -> bytes:
    return b"".join(bytes([len(tag)]) + tag for tag in tags)


def _split(data: bytes, limit: int) -> list[bytes]:
    tags: list[bytes] = []
    at = 0
    while at < len(data):
        size = data[at]
        tag = data[at + 1 : at + 1 + size]
        if not 1 <= size <= MAX_EPC_BYTES or len(tag) != size:
            raise TagListError(f"an EPC of {size} bytes with {len(tag)} left")
        if len(tags) == limit:
            raise TagListError(f"more than {MAX_TAGS} tags")
        tags.append(tag)
        at += 1 + size
    return tags


# -- method 1 --------------------------------------------------------------------------------------


def _grouped(tags: list[bytes]) -> bytes:
    makers: dict[tuple[int, int], _Maker] = {}
    odd = []
    for tag in tags:
        if not _is_sgtin96(tag):
            odd.append(tag)
            continue
        value = int.from_bytes(tag, "big")
        head, field44 = value >> (_ITEM_FIELD_BITS + _SERIAL_BITS) & 0x3F, value >> _SERIAL_BITS
        item_bits = _ITEM_FIELD_BITS - _COMPANY_BITS[head & 7]
        company = (field44 & ((1 << _ITEM_FIELD_BITS) - 1)) >> item_bits
        items = makers.setdefault((head, company), {})
        items.setdefault(field44 & ((1 << item_bits) - 1), []).append(value & _MASK38)
    item_deltas = [d for items in makers.values() for d in _deltas(sorted(items), -1)]
    lists = [serials for items in makers.values() for serials in items.values()]
    serial_deltas = [d for serials in lists for d in _deltas(serials[1:], serials[0])]
    ki, ks = _best_k(item_deltas, 31), _best_k(serial_deltas, _SERIAL_BITS)
    width = max((serials[0].bit_length() for serials in lists), default=0)
    out = [_bits(ki, 5), _bits(ks, 6), _bits(width, 6), _gamma(len(makers))]
    for (head, company), items in sorted(makers.items()):
        out += (_bits(head, 6), _bits(company, _COMPANY_BITS[head & 7]), _gamma(len(items)))
        previous = -1
        for item, serials in sorted(items.items()):
            out += (_rice(item - previous - 1, ki), _gamma(len(serials)), _bits(serials[0], width))
            out += (_rice(delta, ks) for delta in _deltas(serials[1:], serials[0]))
            previous = item
    text = "".join(out)
    text += "0" * (-len(text) % 8)
    return bytes([_GROUPED]) + int(text, 2).to_bytes(len(text) // 8, "big") + _prefixed(odd)


def _ungroup(data: bytes) -> list[bytes]:
    bits = _Bits(data)
    ki, ks, width = bits.take(5), bits.take(6), bits.take(6)
    if ks > _SERIAL_BITS or width > _SERIAL_BITS:
        raise TagListError("a serial wider than 38 bits")
    tags: list[bytes] = []
    for _ in range(bits.gamma()):
        head = bits.take(6)
        if head & 7 >= len(_COMPANY_BITS):
            raise TagListError("partition 7 does not exist")
        company_bits = _COMPANY_BITS[head & 7]
        item_bits = _ITEM_FIELD_BITS - company_bits
        company, item = bits.take(company_bits), -1
        for _ in range(bits.gamma()):
            item += bits.rice(ki) + 1
            if item >> item_bits:
                raise TagListError(f"an item reference over {item_bits} bits")
            count = bits.gamma()
            if len(tags) + count > MAX_TAGS:
                raise TagListError(f"more than {MAX_TAGS} tags")
            serial = bits.take(width)
            for index in range(count):
                serial += bits.rice(ks) + 1 if index else 0
                if serial > _MASK38:
                    raise TagListError("a serial over 38 bits")
                value = (_SGTIN96 << 6 | head) << _ITEM_FIELD_BITS | company << item_bits | item
                tags.append((value << _SERIAL_BITS | serial).to_bytes(12, "big"))
    tags += _split(data[bits.whole_bytes() :], MAX_TAGS - len(tags))
    if len(set(tags)) != len(tags):
        raise TagListError("a tag stands twice in the list")
    return sorted(tags)


def _deltas(values: list[int], previous: int) -> list[int]:
    out = []
    for value in values:
        out.append(value - previous - 1)
        previous = value
    return out


def _best_k(values: list[int], highest: int) -> int:
    """The parameter that codes ``values`` shortest; the lowest of equals, so that there is one right form."""
    best, shortest = 0, len(values) * (_ESCAPE + _SERIAL_BITS) + 1
    for k in range(highest + 1):
        if len(values) * (k + 1) >= shortest:
            break  # no value takes less than k + 1 bits, and k only grows
        limit = _ESCAPE << k
        length = sum([(v >> k) + 1 + k if v < limit else _ESCAPE + _SERIAL_BITS for v in values])
        if length < shortest:
            best, shortest = k, length
    return best


def _bits(value: int, width: int) -> str:
    return format(value, f"0{width}b") if width else ""


def _gamma(value: int) -> str:
    text = format(value, "b")
    return "0" * (len(text) - 1) + text


def _rice(value: int, k: int) -> str:
    quotient = value >> k
    if quotient >= _ESCAPE:
        return "1" * _ESCAPE + _bits(value, _SERIAL_BITS)
    return "1" * quotient + "0" + _bits(value & ((1 << k) - 1), k)


class _Bits:
    """Reads a bit string from the highest bit on; TagListError when it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._text = format(int.from_bytes(data, "big"), f"0{len(data) * 8}b") if data else ""
        self._at = 0

    def take(self, width: int) -> int:
        end = self._at + width
        if end > len(self._text):
            raise TagListError("the list ends in the middle")
        value = int(self._text[self._at : end], 2) if width else 0
        self._at = end
        return value

    def gamma(self) -> int:
        one = self._text.find("1", self._at)
        zeros = (one if one >= 0 else len(self._text)) - self._at
        if zeros >= MAX_TAGS.bit_length():
            raise TagListError(f"a count over {MAX_TAGS}")
        self.take(zeros + 1)
        return 1 << zeros | self.take(zeros)

    def rice(self, k: int) -> int:
        end = self._text.find("0", self._at, self._at + _ESCAPE)
        if end < 0:
            self.take(_ESCAPE)
            return self.take(_SERIAL_BITS)
        quotient = end - self._at
        self._at = end + 1
        return quotient << k | self.take(k)

    def whole_bytes(self) -> int:
        """Bytes begun so far."""
        return -(-self._at // 8)
