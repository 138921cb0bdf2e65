"""The double's callbacks: sealed, signed, posted by a thread of its own, repeated or spoilt when told."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from store.pay.double.guard import Guard

log = logging.getLogger("store.pay.double")


class Notifier:
    """``sent``: every callback as (headers, body), whether or not there is an address to post it to."""

    def __init__(self, guard: Guard, clock: Callable[[], float], url: str = "") -> None:
        self.url = url
        self.sent: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self._guard = guard
        self._clock = clock
        self._queue: SimpleQueue[tuple[dict[str, str], bytes] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pay-double-notify")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def send(self, content: dict[str, Any], kind: str = "TRANSACTION.SUCCESS") -> None:
        """Seal, sign and queue one."""
        event = {
            "id": secrets.token_hex(16),
            "create_time": "2024-01-01T12:00:00+08:00",
            "event_type": kind,
            "resource_type": "encrypt-resource",
            "summary": "double",
            "resource": self._guard.seal(content, "transaction"),
        }
        body = json.dumps(event).encode()
        self._put((self._guard.sign(body, self._clock()), body))

    def repeat(self) -> None:
        """The last one once more, byte for byte."""
        self._put(self.sent[-1])

    def _put(self, callback: tuple[dict[str, str], bytes]) -> None:
        self.sent.append(callback)
        if self.url:
            self._queue.put(callback)

    def _run(self) -> None:
        while (callback := self._queue.get()) is not None:
            headers, body = callback
            request = urllib.request.Request(
                self.url, body, {**headers, "Content-Type": "application/json"}, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    self.statuses.append(answer.status)
            except urllib.error.HTTPError as error:
                self.statuses.append(error.code)
                error.close()
            except OSError as error:
                log.warning("the callback was not taken: %s", error)
                self.statuses.append(0)
