"""A client of the simulated world's control socket: one JSON line out, one back. Blocking, for tools only."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from provisioning.trouble import Trouble


class WorldClient:
    """Connects when first used; a lost connection is opened again once."""

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._buffer = b""

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and return its answer. Raises Trouble when the world refuses or is gone."""
        try:
            answer = self._exchange(request)
        except OSError:
            self.close()
            try:
                answer = self._exchange(request)
            except OSError as error:
                raise Trouble(f"the simulated world at {self._path} does not answer: {error}") from None
        if not answer.get("ok"):
            raise Trouble(f"the simulated world refused {json.dumps(request)}: {answer.get('error')}")
        return answer

    def wait_until_up(self, deadline: float) -> None:
        """Return once it answers; raises Trouble at ``deadline`` (time.monotonic)."""
        while True:
            try:
                self._exchange({"status": True})
                return
            except OSError as error:
                self.close()
                if time.monotonic() > deadline:
                    raise Trouble(f"the simulated world at {self._path} did not come up: {error}") from None
                time.sleep(0.05)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._socket is None:
            fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            fresh.settimeout(self._timeout_s)
            try:
                fresh.connect(str(self._path))
            except OSError:
                fresh.close()
                raise
            self._socket = fresh
        self._socket.sendall(json.dumps(request, separators=(",", ":")).encode() + b"\n")
        while b"\n" not in self._buffer:
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("the connection was closed")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
