"""A real mosquitto child on a free loopback port, with the generated configuration.

It can be stopped, killed, frozen and started again on the same port and the same persistence folder.
Fails loudly where mosquitto is missing. The child dies with the test process.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from firmware.wire.broker import BrokerPlan, BrokerTls, acl, mosquitto_conf
from provisioning.broker_bin import find

# MQTT 5 CONNECT, clean start, no client id (the server assigns one), no user
_CONNECT = bytes.fromhex("100d 0004 4d515454 05 02 0005 00 0000".replace(" ", ""))
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may be loaded


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_program = functools.cache(find)  # it starts mosquitto once to see that it can


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Mosquitto:
    """``with Mosquitto(tmp_path) as broker:`` or start() and stop(). ``host`` and ``port`` to connect to."""

    def __init__(
        self,
        folder: Path,
        *,
        store_id: str = "demo",
        tls: BrokerTls | None = None,
        store_users: tuple[str, ...] = ("store",),
        monitor_users: tuple[str, ...] = ("monitor",),
        extra_conf: str = "",
    ) -> None:
        program = _program()
        if program is None:
            raise RuntimeError(
                "these tests need a real mosquitto: run make venv, or apt-get install mosquitto"
            )
        self._program = program
        self.folder = folder
        self.store_id = store_id
        self.host = "127.0.0.1"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._options = {"tls": tls, "store_users": store_users, "monitor_users": monitor_users}
        self._tls = tls
        self._extra_conf = extra_conf
        self.log = folder / "mosquitto.log"

    def plan(self) -> BrokerPlan:
        return BrokerPlan(
            store_id=self.store_id,
            folder=str(self.folder / "kept"),
            acl_file=str(self.folder / "acl"),
            port=self.port,
            run_as="root" if os.geteuid() == 0 else None,
            **self._options,  # type: ignore[arg-type]
        )

    def start(self, deadline_s: float = 10.0) -> Mosquitto:
        """Start, or start again on the same port, and wait until it answers. Raises RuntimeError."""
        first = self.port == 0
        for _attempt in range(5):
            if first:
                self.port = free_port()
            if self._start_once(deadline_s):
                return self
            if not first:
                break
        raise RuntimeError(f"mosquitto did not answer on port {self.port}:\n{self.log.read_text()[-2000:]}")

    def _start_once(self, deadline_s: float) -> bool:
        (self.folder / "kept").mkdir(parents=True, exist_ok=True)
        (self.folder / "acl").write_text(acl(self.plan()))
        (self.folder / "acl").chmod(0o600)
        conf = self.folder / "mosquitto.conf"
        conf.write_text(mosquitto_conf(self.plan()) + self._extra_conf)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self._program.path, "-c", str(conf)],
                env=self._program.environment(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,
            )
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            if self._answers():
                return True
            self._wait_exit(0.01)
        self.kill()
        return False

    def _wait_exit(self, timeout_s: float) -> None:
        assert self.process is not None
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0) as probe:
                if self._tls:
                    return True  # without a certificate there is no CONNACK to wait for
                probe.sendall(_CONNECT)
                return probe.recv(1) == b"\x20"
        except OSError:
            return False

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL: what was not written by then is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: mosquitto writes its persistence file. Killed if that takes over 10 s. Idempotent."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP: read the access list (and revocations) again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def __enter__(self) -> Mosquitto:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
