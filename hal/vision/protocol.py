"""What the camera child tells its parent: framing and messages. Pure.

Frame: length (u16, big-endian, 1..MAX_MESSAGE) then that many bytes of msgpack, a tagged array.
The parent treats the child as untrusted: a broken length or body is a ``ProtocolError``, after which
the stream cannot be followed and the child is replaced.
"""

from __future__ import annotations

import struct

import msgspec

MAX_MESSAGE = 2048
"""Bytes of one message's body."""
MAX_CODE = 512
"""Payloads longer than this are cut to MAX_CODE + 1 bytes, so that policy still sees them as too long."""
MAX_TEXT = 300
"""Bytes of each text; longer ones are cut."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the children behave besides the camera's own settings (JSON on the child's command line)."""

    zbar: bool = False
    zbar_limit_s: float = 1.5
    zbar_recycle: int = 200_000
    progress_s: float = 0.5


class Ready(msgspec.Struct, frozen=True, tag="ready", array_like=True):
    """Self-test passed and the camera is open."""

    pid: int
    decoders: str


class CodeRead(msgspec.Struct, frozen=True, tag="code", array_like=True):
    """A code newly counts. Times are monotonic seconds, shared by all processes of one boot."""

    data: bytes
    frame_at: float
    at: float
    share: float
    decoder: str

    def __repr__(self) -> str:
        return f"CodeRead(<{len(self.data)} bytes>, decoder={self.decoder!r})"


class Alive(msgspec.Struct, frozen=True, tag="alive", array_like=True):
    """At least once per second while frames come. ``frames`` since the child's start."""

    frames: int
    at: float


class Noted(msgspec.Struct, frozen=True, tag="note", array_like=True):
    """A condition that is not a loss, e.g. ``decoder_restarts``."""

    name: str
    detail: str
    at: float


class Gone(msgspec.Struct, frozen=True, tag="lost", array_like=True):
    """The camera is lost and the child ends."""

    reason: str
    check: str
    at: float


Message = Ready | CodeRead | Alive | Noted | Gone

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_length = struct.Struct(">H")


class ProtocolError(Exception):
    """The stream broke its own rules."""


def pack(message: Message) -> bytes:
    """One framed message; payload and texts cut to their bounds."""
    if isinstance(message, CodeRead) and len(message.data) > MAX_CODE:
        message = msgspec.structs.replace(message, data=message.data[: MAX_CODE + 1])
    if isinstance(message, Noted):
        message = msgspec.structs.replace(message, name=_cut(message.name), detail=_cut(message.detail))
    if isinstance(message, Gone):
        message = msgspec.structs.replace(message, reason=_cut(message.reason), check=_cut(message.check))
    body = _encoder.encode(message)
    return _length.pack(len(body)) + body


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore")


class Unpacker:
    """Bytes in, messages out. Holds at most one incomplete message."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by ``data``. Raises ProtocolError; the object is useless after that."""
        self._buffer += data
        messages: list[Message] = []
        start = 0
        while len(self._buffer) - start >= _length.size:
            (length,) = _length.unpack_from(self._buffer, start)
            if not 1 <= length <= MAX_MESSAGE:
                raise ProtocolError(f"a message of {length} bytes was announced (1..{MAX_MESSAGE} allowed)")
            end = start + _length.size + length
            if len(self._buffer) < end:
                break
            try:
                messages.append(_decoder.decode(self._buffer[start + _length.size : end]))
            except (msgspec.DecodeError, ValueError) as error:
                raise ProtocolError(f"a message of {length} bytes cannot be decoded: {error}") from None
            start = end
        del self._buffer[:start]
        return messages
