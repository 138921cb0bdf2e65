"""One signed request to WeChat Pay and its verified answer, over two hosts. Synchronous, for worker threads.

Every wait is bounded: connecting, each read, and the whole. A request that must not take effect twice goes to
the second host only when the first surely never got it. Bodies and headers are in no log and in no error.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any

import httpx

from firmware.wire.strictjson import JsonError, parse_object
from store.pay.provider import (
    BadAnswer,
    BadSignature,
    NotReached,
    PayError,
    Refused,
    StaleAnswer,
    TimedOut,
    mask,
)
from store.pay.wechat.signing import Merchant, Verifier

HOSTS = ("https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com")
MAX_ANSWER_BYTES = 256 * 1024
BACK_AFTER_S = 300.0  # how long the second host stays the first choice


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: to connect, between two reads, for the whole of one try."""

    connect_s: float = 3.0
    read_s: float = 10.0
    whole_s: float = 15.0


class Transport:
    """``hosts``: base addresses in order of preference. ``clock``: Unix seconds; ``timer``: monotonic."""

    def __init__(
        self,
        merchant: Merchant,
        verifier: Verifier,
        *,
        hosts: tuple[str, ...] = HOSTS,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        if not hosts:
            raise ValueError("at least one host is needed")
        self._merchant = merchant
        self._verifier = verifier
        self._hosts = hosts
        self._limits = limits or Limits()
        self._clock = clock
        self._timer = timer
        self._second_until = float("-inf")
        limits = self._limits
        self._http = httpx.Client(
            timeout=httpx.Timeout(
                connect=limits.connect_s, read=limits.read_s, write=limits.read_s, pool=limits.connect_s
            ),
            verify=_tls(),
            trust_env=False,  # no proxy by accident: these requests carry money
            follow_redirects=False,
        )

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def call(
        self, method: str, target: str, body: Mapping[str, Any] | None = None, *, repeatable: bool
    ) -> dict[str, Any]:
        """The answer's object, {} where it has none. ``target``: path and query.

        ``repeatable``: doing it twice is the same as once, so an unclear end is tried on the next host.
        Raises PayError."""
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        hosts = self._order()
        failed: PayError | None = None
        for number, host in enumerate(hosts):
            try:
                answer = self._once(host, method, target, content)
            except NotReached as error:
                failed = failed or error
            except (TimedOut, BadSignature, StaleAnswer) as error:
                if not repeatable:
                    raise
                failed = error
            except (Refused, BadAnswer):
                self._works(host, number)
                raise
            else:
                self._works(host, number)
                return answer
        assert failed is not None
        raise failed

    # -- inside --------------------------------------------------------------------------------------

    def _order(self) -> tuple[str, ...]:
        if self._timer() < self._second_until and len(self._hosts) > 1:
            return (*self._hosts[1:], self._hosts[0])
        return self._hosts

    def _works(self, host: str, number: int) -> None:
        """``host`` answered, the ``number``-th tried: after a failure it becomes the first choice."""
        if number:
            first = host == self._hosts[0]
            self._second_until = float("-inf") if first else self._timer() + BACK_AFTER_S

    def _once(self, host: str, method: str, target: str, content: bytes) -> dict[str, Any]:
        timestamp, nonce = int(self._clock()), secrets.token_hex(16)
        headers = {
            "Authorization": self._merchant.authorization(method, target, content, timestamp, nonce),
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "tallygate",
            "Wechatpay-Serial": self._verifier.preferred,
        }
        try:
            status, received, body = self._exchange(method, host + target, content, headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            words = mask(str(error), 120) or type(error).__name__
            raise NotReached(f"{host}: no connection: {words}") from None
        except httpx.HTTPError as error:
            raise TimedOut(f"{host}: {type(error).__name__} before the whole answer") from None
        try:
            self._verifier.verify(received, body)
        except PayError as error:
            hint = "; check clock, serial number and keys" if status == 401 else ""
            raise type(error)(f"{host}: status {status}, {error}{hint}") from None
        return _read(host, status, body)

    def _exchange(
        self, method: str, url: str, content: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        end = self._timer() + self._limits.whole_s
        body = b""
        with self._http.stream(method, url, content=content or None, headers=headers) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise httpx.ReadError(f"more than {MAX_ANSWER_BYTES} bytes")
                if self._timer() > end:
                    raise httpx.ReadTimeout("the whole takes too long")
            return response.status_code, dict(response.headers), body


@cache
def _tls() -> ssl.SSLContext:
    """The public certificate authorities, read once."""
    return httpx.create_ssl_context(trust_env=False)


def _read(host: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = parse_object(body, MAX_ANSWER_BYTES) if body.strip() else {}
    except JsonError as error:
        raise BadAnswer(f"{host}: status {status}, {error}") from None
    if 200 <= status < 300:
        return answer
    code, message = answer.get("code"), answer.get("message", "")
    if not isinstance(code, str) or not code or not isinstance(message, str):
        raise BadAnswer(f"{host}: status {status} without a code")
    raise Refused(code, message, status)
