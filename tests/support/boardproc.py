"""A real board process (``python -m firmware run``) in real time, with a systemd that listens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.wire.issue import Issued, issue
from hal.sim.scene import render, wall, write_scene
from provisioning import toml_text
from provisioning.world_client import WorldClient
from tests.support.broker import _die_with_parent
from tests.support.linkboard import until

BOARDS = Path(__file__).parents[2] / "boards"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


ENTRY = BOARDS / "sim-entry.toml"
NAMES = {"entry": "entry-1", "exit": "exit-1", "portal": "portal-1", "pricepoint": "price-1"}


class BoardProcess:
    """``with BoardProcess(tmp_path, broker.port) as board:`` or start() and stop(). ``changes``: sections.

    ``file``: any simulated board file (``BOARDS / "sim-portal.toml"``). The entry gate, where none is given,
    is without a reader and a second decoder unless ``changes`` name them; other files are taken as they are.
    """

    def __init__(
        self, folder: Path, port: int, *, name: str | None = None, file: Path = ENTRY, **changes: Any
    ) -> None:
        board = tomllib.loads(file.read_text())
        self.role: str = board["board"]["role"]
        name = NAMES[self.role] if name is None else name
        self.folder = folder / name
        self.data = self.folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.file = self.folder / "board.toml"
        if file == ENTRY:
            board["camera"]["fps"] = 30
            board["decoder"] = {"second_opinion": "none"}
            del board["reader"]
        for section, value in changes.items():
            if value is None:
                board.pop(section, None)
            else:
                board[section] = {**board.get(section, {}), **value}
        # A socket's path is limited to 107 bytes; pytest's folders are long.
        self._short = tempfile.TemporaryDirectory(prefix="tg-")
        self.scene = self.folder / "scene.pgm"
        board["sim"]["scene"] = str(self.scene)
        board["sim"]["control"] = str(Path(self._short.name) / "w")
        self.board = board
        self.write()
        site = {
            "store": "demo",
            "board": name,
            "data": str(self.data),
            "broker": {"host": "127.0.0.1", "port": port},
            "pass_keys": {"1": PRIVATE.public_key().public_bytes_raw().hex()},
        }
        self.file.with_name("site.toml").write_text(toml_text.dumps(site))
        self._log = self.folder / "board.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.command = ["-m", "firmware"]
        self.world = WorldClient(Path(board["sim"]["control"]))
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(Path(self._short.name) / "n"))
        self.systemd.setblocking(False)
        self.words: list[str] = []
        self._number = 0

    def write(self) -> None:
        """The board file as ``self.board`` has it."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(toml_text.dumps(self.board))
        fresh.replace(self.file)

    # -- its life --------------------------------------------------------------------------------

    def start(self) -> BoardProcess:
        """Start and wait until it is ready: a gate until it knows its sensors, another until its world
        answers."""
        self.launch()
        return self.wait_until_ready()

    def launch(self) -> None:
        """Start without waiting, so that several boards can start side by side."""
        self.words.clear()
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(Path(self._short.name) / "n"),
            "WATCHDOG_USEC": "3000000",
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command, "run", str(self.file)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                preexec_fn=_die_with_parent,
                cwd=BOARDS.parent,
            )

    def wait_until_ready(self) -> BoardProcess:
        until(lambda: self.heard("READY=1") or self.ended(), 30, "READY=1")
        assert not self.ended(), self.log()[-3000:]
        if self.role in ("entry", "exit"):
            until(lambda: self.state() == "closed", 20, "the gate to know its sensors")
        else:
            self.world.wait_until_up(time.monotonic() + 20)
        return self

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def heard(self, word: str) -> bool:
        """Whether systemd was told ``word`` since the start."""
        while True:
            try:
                self.words += self.systemd.recv(4096).decode().split("\n")
            except BlockingIOError:
                return any(said.startswith(word) for said in self.words)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def stop(self) -> int:
        return self.end(signal.SIGTERM)

    def end(self, how: signal.Signals) -> int:
        """Send ``how``, wait, return the exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        self.world.close()
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"did not end on {how.name}:\n{self.log()[-3000:]}") from None

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def __enter__(self) -> BoardProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.close()

    def close(self) -> None:
        self.kill()
        self.systemd.close()
        self._short.cleanup()

    # -- what people do --------------------------------------------------------------------------

    def issue(self, party: int = 1, visit: bytes | None = None) -> Issued:
        self._number += 1
        return issue(
            PRIVATE,
            key_id=1,
            store_id="demo",
            visit=visit or os.urandom(8),
            kind="entry",
            party=party,
            campaign=0,
            placement=0,
            issued_at=int(time.time()) - 5,
            valid_for=3600,
            settled=False,
            seed=os.urandom(12),
        )

    def show(self, text: str | bytes) -> None:
        write_scene(self.scene, render(text))

    def show_pass(self, issued: Issued) -> None:
        self.show(issued.shown_at(time.time()))

    def take_away(self) -> None:
        write_scene(self.scene, wall())

    def status(self) -> dict[str, Any]:
        lane: dict[str, Any] = self.world.ask(status={})["lane"]
        return lane

    def released(self) -> bool:
        return bool(self.status()["outputs"]["release"])

    def state(self) -> str | None:
        """ "closed" once leaf and lock say so; None while the world does not answer."""
        try:
            lane = self.status()
        except Exception:
            return None
        return "closed" if lane["inputs"]["leaf"] and not lane["outputs"]["release"] else "open"

    def admit(self, issued: Issued | None = None) -> Issued:
        """Show a pass, wait for the release, take the code away."""
        issued = issued or self.issue()
        self.show_pass(issued)
        until(self.released, 20, f"release\n{self.log()[-2000:]}")
        self.take_away()
        return issued


class Ears:
    """A subscriber that keeps the last payload of every topic of the shop."""

    def __init__(self, port: int, user: str = "monitor") -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self.last: dict[str, bytes] = {}
        self.live: list[dict[str, Any]] = []
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"{user}-{os.getpid()}", protocol=mqtt.MQTTv5
        )
        self.client.username_pw_set(user)
        self.client.on_message = self._message
        self.client.on_connect = lambda client, *_: client.subscribe(
            [("tallygate/1/#", 1), ("homeassistant/#", 1)]
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _message(self, _client: Any, _data: Any, message: Any) -> None:
        self.last[message.topic] = message.payload
        if message.topic.endswith("/live"):
            self.live.append(json.loads(message.payload))

    def get(self, topic: str) -> dict[str, Any]:
        return dict(json.loads(self.last.get(topic) or b"{}"))

    def heard(self, event: str, **fields: Any) -> bool:
        return any(one["event"] == event and fields.items() <= one.items() for one in list(self.live))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
