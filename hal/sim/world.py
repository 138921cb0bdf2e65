"""The simulated board's control socket: JSON lines that put people, codes and tags before the board.

Only what happens *around* a board can be said here; nothing reaches policy except through the drivers.
One line in, one line out. A malformed line gets an error answer and must never stop the board.
"""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hal.sim.stage import Stage, WorldError, flag, unknown

MOVING_S = 0.02
IDLE_S = 0.2
MAX_LINE = 64 * 1024
MAX_CLIENTS = 16
MAX_TAGS = 500
MAX_PICTURE = 16 * 1024 * 1024


class TagField(Protocol):
    """The simulated reader's side: which tags are in its field, and whether it is plugged in."""

    def present(self, epcs: list[bytes]) -> None: ...
    def lay(self, epcs: list[bytes]) -> None: ...
    def plug(self, plugged: bool) -> None: ...
    def status(self) -> dict[str, Any]: ...


class World:
    """Steps ``stage`` on ``loop`` and serves the control socket at ``socket_path``.

    ``scene_path`` is the picture file that the simulated camera reads; ``factory`` the mock pin factory
    (its ``on_output`` is used to notice a driven output at once), None where there are no pins.
    Construct and close on the loop's thread.
    """

    def __init__(
        self,
        stage: Stage,
        factory: Any,
        loop: asyncio.AbstractEventLoop,
        socket_path: Path,
        scene_path: Path | None = None,
        tags: TagField | None = None,
    ) -> None:
        self.stage = stage
        self._factory = factory
        self._loop = loop
        self._socket_path = socket_path
        self._scene_path = scene_path
        self._tags = tags
        self._carried: list[bytes] = []
        self._shelf: list[bytes] = []
        self._shown: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._starting: asyncio.Task[None] | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._closed = False
        self._answers: dict[str, Callable[[Any], dict[str, Any]]] = {
            "tags": self._present,
            "shelf": self._lay,
            "reader": self._reader,
            "status": lambda _: {},
        }
        self._stage_requests = stage.requests()

    def start(self) -> None:
        """Begin to step the lane and to listen; a socket that cannot be opened raises on the loop."""
        if self._factory is not None:
            self._factory.on_output = self._output_changed
        self._starting = self._loop.create_task(self._listen())
        self._starting.add_done_callback(self._listening)
        self._step()

    async def ready(self) -> None:
        """Return once the socket is listening; raises ``WorldError``."""
        if self._starting is not None:
            await asyncio.shield(self._starting)

    def close(self) -> None:
        """Stop stepping and listening, remove the socket. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._factory is not None:
            self._factory.on_output = None
        if self._timer is not None:
            self._timer.cancel()
        if self._starting is not None:
            self._starting.cancel()
        if self._server is not None:
            self._server.close()
            self._socket_path.unlink(missing_ok=True)
        for task in list(self._clients):
            task.cancel()

    # -- stepping --------------------------------------------------------------------------------

    def _step(self) -> None:
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._loop.time()
        self.stage.step(now)
        self._timer = self._loop.call_at(now + (MOVING_S if self.stage.moving else IDLE_S), self._step)

    def _output_changed(self) -> None:
        # Also called on the hold timer's thread.
        try:
            self._loop.call_soon_threadsafe(self._step)
        except RuntimeError:
            pass  # the loop is closed

    # -- the socket ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        path = self._socket_path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
                path.unlink()  # left by a killed simulation
            self._server = await asyncio.start_unix_server(self._client, path=path, limit=MAX_LINE)
            path.chmod(0o600)
        except OSError as error:
            raise WorldError(
                f"the simulation's control socket {path} cannot be opened: {error}; check the folder "
                f"and that the path is shorter than 108 characters"
            ) from error

    def _listening(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": str(error), "exception": error})

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) > MAX_CLIENTS:
                writer.write(_line({"ok": False, "error": f"more than {MAX_CLIENTS} connections"}))
                return
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit: the rest of the line cannot be found again
                    writer.write(_line({"ok": False, "error": f"a line is longer than {MAX_LINE} bytes"}))
                    return
                if not line:
                    return
                writer.write(_line(await self.answer(line)))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._clients.discard(task)
            writer.close()

    async def answer(self, line: bytes) -> dict[str, Any]:
        """Do what one JSON line asks; the answer has ``ok`` and the stage's state, or ``error``."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not request:
                raise WorldError('a request is an object such as {"walk": {"people": 1}}')
            for name in request:
                if name != "show" and name not in self._answers and name not in self._stage_requests:
                    known = ["show", *self._stage_requests, *self._answers]
                    raise WorldError(unknown("request", name, known))
            extra: dict[str, Any] = {}
            for name, value in request.items():
                if name in self._stage_requests:
                    self._stage_requests[name](value)
                else:
                    extra |= await self._show(value) if name == "show" else self._answers[name](value)
        except (WorldError, ValueError, TypeError, RecursionError) as error:
            return {"ok": False, "error": str(error) or type(error).__name__}
        except OSError as error:
            return {"ok": False, "error": f"{error.strerror}: {error.filename}"}
        self._step()
        return {"ok": True, **extra, **self._status()}

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = {self.stage.name: self.stage.status(), "shown": self._shown}
        if self._tags is not None:
            status["reader"] = self._tags.status()
        return status

    # -- requests --------------------------------------------------------------------------------

    async def _show(self, value: Any) -> dict[str, Any]:
        if self._scene_path is None:
            raise WorldError("show: this board has no simulated camera with a scene file")
        if value is not None and not isinstance(value, str):
            raise WorldError("show: give the path of a PGM picture, or null for an empty scene")
        await self._loop.run_in_executor(None, _place, value, self._scene_path)
        self._shown = value
        return {}

    def _present(self, value: Any) -> dict[str, Any]:
        self._carried = _epcs("tags", value)
        return self._put("tags")

    def _lay(self, value: Any) -> dict[str, Any]:
        self._shelf = _epcs("shelf", value)
        return self._put("shelf")

    def _put(self, name: str) -> dict[str, Any]:
        reader = self._need_reader(name)
        reader.present(self._carried)
        reader.lay(self._shelf)
        return {}

    def _reader(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or set(value) != {"plugged"}:
            raise WorldError('reader: give {"plugged": true} or {"plugged": false}')
        self._need_reader("reader").plug(flag("reader.plugged", value["plugged"]))
        return {}

    def _need_reader(self, name: str) -> TagField:
        if self._tags is None:
            raise WorldError(f"{name}: this board has no simulated tag reader")
        return self._tags


def _epcs(name: str, value: Any) -> list[bytes]:
    if not isinstance(value, list) or len(value) > MAX_TAGS:
        raise WorldError(f"{name}: give a list of at most {MAX_TAGS} EPCs in hex, [] for none")
    epcs = []
    for text in value:
        if not isinstance(text, str):
            raise WorldError(f"{name}: {text!r} is not an EPC in hex")
        epc = bytes.fromhex(text)
        if len(epc) % 2 or len(epc) > 62:
            raise WorldError(f"{name}: {text!r} is {len(epc)} bytes; an EPC has an even number up to 62")
        epcs.append(epc)
    return epcs


def _place(source: str | None, scene: Path) -> None:
    """Put a picture where the camera reads it, whole or not at all; None removes it."""
    if source is None:
        scene.unlink(missing_ok=True)
        return
    path = Path(source)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise WorldError(f"show: {path} is not a regular file")  # a FIFO or /dev/zero would never end
    if found.st_size > MAX_PICTURE:
        raise WorldError(f"show: {path} is larger than {MAX_PICTURE} bytes")
    data = path.read_bytes()
    if not data.startswith(b"P5"):
        raise WorldError(f"show: {path} is not a binary PGM picture (it must begin with P5)")
    scene.parent.mkdir(parents=True, exist_ok=True)
    part = scene.with_name(f".{scene.name}.part")
    part.write_bytes(data)
    part.replace(scene)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
