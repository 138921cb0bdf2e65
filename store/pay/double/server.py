"""The double as an HTTP server on loopback, in a thread of this process; misbehaves as it is told.

``POST /double/fault`` orders a misbehaviour, ``GET /double/ledger`` shows what was really paid,
``POST /double/notify`` sends a callback again, ``POST /double/pay`` lets the shopper confirm. They need no
signature and are the reason why this server binds to loopback only.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from store.pay.double.api import Api
from store.pay.double.bank import LATER_S, Bank
from store.pay.double.faults import BEFORE, Fault, FaultList
from store.pay.double.guard import Guard, Keys
from store.pay.double.notify import Notifier
from store.pay.double.scores import Scores
from store.pay.provider import Order, Refused

SILENT_S = 60.0
log = logging.getLogger("store.pay.double")


class Double:
    """``url`` is where it listens once entered. ``clock``: Unix seconds, may be moved by hand in tests."""

    def __init__(
        self,
        keys: Keys | None = None,
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        notify_url: str = "",
    ) -> None:
        self.keys = keys or Keys()
        self.clock = clock
        self.guard = Guard(self.keys)
        self.faults = FaultList()
        self.bank = Bank(start_ms=0)
        self.scores = Scores(self.bank)
        self.api = Api(self.bank, self.scores, self.keys)
        self.notifier = Notifier(self.guard, clock, notify_url)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.last_nonce = ""  # of an answer; a replay uses it once more
        self._twice: set[str] = set()
        self.bank.on_paid = self._paid
        handler = type("_BoundHandler", (_Handler,), {"double": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="pay-double")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Double:
        self._thread.start()
        self.notifier.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.notifier.stop()

    def fault(self, kind: str, on: str = "any", times: int = 1, delay_s: float = 8.0) -> None:
        """Misbehave so at the next ``times`` calls of ``on``. Raises ValueError."""
        with self.lock:
            self.faults.add(Fault(kind, on, times, delay_s))

    def ledger(self) -> dict[str, Any]:
        """What was really paid."""
        with self.lock:
            self.bank.settle(self.clock())
            return {
                "net_fen": self.bank.net_fen(),
                "orders": {name: held.order.state for name, held in self.bank.orders.items()},
                "entries": [[e.order, e.amount_fen, e.what] for e in self.bank.entries],
                "early_reverses": list(self.bank.early_reverses),
                "refused_requests": list(self.guard.reasons),
            }

    def notify(self, order: str, times: int = 1) -> None:
        """Send the callback of a paid order (again). Raises KeyError."""
        with self.lock:
            found = self.bank.orders[order].order
        for _ in range(times):
            self.notifier.send(self.api.order_json(found))

    def confirm(self, order: str) -> None:
        """The shopper types the password now. Raises KeyError."""
        with self.lock:
            held = self.bank.orders[order]
            held.money, held.asked_at = "later", self.clock() - LATER_S
            self.bank.settle(self.clock())

    def _paid(self, order: Order) -> None:
        """Called under the lock, whenever an order is paid."""
        self.notifier.send(self.api.order_json(order))
        if order.order in self._twice:
            self.notifier.repeat()

    def answer(self, method: str, target: str, header: str, body: bytes) -> tuple[int, bytes, Fault | None]:
        """Do it under the faults in force; status, body and what shall happen to the answer."""
        now = self.clock()
        with self.lock:
            reason = self.guard.refuse(method, target, header, body, now)
            if reason:
                return 401, _error("SIGN_ERROR", reason), None
            fault: Fault | None = None
            try:
                call, code, act = self.api.route(method, target, body)
                self.bank.settle(now)
                fault = self.faults.take(call, code)
                if fault is not None and fault.kind == "system":
                    raise Refused("SYSTEM_ERROR", "try again later", 500)
                if fault is not None and fault.kind == "delayed":
                    self.bank.later(now + fault.delay_s, act)
                if fault is not None and fault.kind in BEFORE:
                    return 502, b"", fault
                if fault is not None and fault.kind == "twice":
                    self._twice.add(json.loads(body).get("out_trade_no", "") if body else "")
                status, answer = act(now)
            except Refused as refused:
                return refused.status or 400, _error(refused.code, refused.message), fault
            return status, b"" if answer is None else json.dumps(answer).encode(), fault


def _error(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()


class _Handler(BaseHTTPRequestHandler):
    """One connection. ``double`` is set by the class that ``Double`` derives."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    double: Double

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: request lines are no news, and bodies are never logged."""

    def _serve(self, method: str) -> None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= 65536:
            self._send(400, _error("PARAM_ERROR", "Content-Length"), {})
            return
        body = self.rfile.read(length)
        if self.path.startswith("/double/"):
            self._admin(method, body)
            return
        header = self.headers.get("Authorization", "")
        status, answer, fault = self.double.answer(method, self.path, header, body)
        kind = fault.kind if fault else ""
        if kind in ("deaf", "silent", "delayed"):
            self.double.stopping.wait(SILENT_S)
        if kind in ("deaf", "silent", "delayed", "cut", "refused"):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        if kind in ("5xx", "5xx-done"):
            self._send(502, b"<html>502 Bad Gateway</html>", {})
            return
        if kind == "slow" and fault is not None:
            self.double.stopping.wait(fault.delay_s)
        self._send(status, answer, self._vouch(answer, kind))

    def _vouch(self, answer: bytes, kind: str) -> dict[str, str]:
        guard, now = self.double.guard, self.double.clock()
        if kind == "unsigned":
            return {}
        if kind == "bad-signature":
            return guard.sign(answer + b" ", now)
        if kind == "stale":
            return guard.sign(answer, now - 3600)
        signed = guard.sign(answer, now, self.double.last_nonce if kind == "replayed" else "")
        self.double.last_nonce = signed["Wechatpay-Nonce"]
        return signed

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # whoever asked has given up
            self.close_connection = True

    def _admin(self, method: str, body: bytes) -> None:
        double, name = self.double, self.path.removeprefix("/double/")
        try:
            data = json.loads(body) if body else {}
            if method == "GET" and name == "ledger":
                answer = double.ledger()
            elif method == "POST" and name == "fault":
                double.fault(**data)
                answer = {"waiting": len(double.faults.waiting)}
            elif method == "POST" and name in ("notify", "pay"):
                double.notify(**data) if name == "notify" else double.confirm(**data)
                answer = {}
            else:
                self._send(404, b'{"error":"ledger, fault, notify or pay"}', {})
                return
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._send(400, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode(), {})
            return
        self._send(200, json.dumps(answer).encode(), {})
