"""Words to systemd: ready, alive, stopping (sd_notify(3)). Silent where no systemd listens."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger("sdnotify")


class Notifier:
    """Sends datagrams to ``$NOTIFY_SOCKET``. Never raises: a lost word shows as a watchdog restart."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET")
        self._socket: socket.socket | None = None
        self._lost = False
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s: float | None = int(usec) / 1e6 if usec.isdigit() and int(usec) > 0 else None
        """systemd's patience, s; feed at a third of it. None = nobody watches."""
        if not address:
            return
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def send(self, *words: str) -> None:
        """For example ``send("READY=1", "STATUS=gate closed")``."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            if not self._lost:  # said once: the watchdog is fed every second
                self._lost = True
                log.warning("systemd does not hear (%s: %s); said again when it does", words[0], error)
            return
        if self._lost:
            self._lost = False
            log.warning("systemd hears again")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
