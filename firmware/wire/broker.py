"""The broker's configuration and access list as text, for mosquitto 2.0 and later. Pure.

One generator for ``make run``, the tests and a provisioned shop. A user is known by name: in a shop
the name in its certificate, on loopback the name it gives. A board writes only below its own name.
Plain TCP is refused for any address but loopback. Writes no file and starts nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from firmware.wire.topics import SHARED, StoreTopics, check_board_id, check_id

MAX_PACKET_BYTES = 65536  # the largest payload is a table's bucket, 48 KiB


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Absolute paths of PEM files. ``crl`` may list nothing, but it must be there."""

    ca: str
    cert: str
    key: str
    crl: str


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """What differs from shop to shop. Raises ValueError, saying what and why.

    ``folder``: absolute path of the persistence folder, kept across restarts. ``host``: the address
    to listen on; with TLS None means all. ``run_as``: the account to change to when started by root
    (mosquitto's own default, an account of its own, cannot read private files). ``store_users``: one
    name for each store worker or tool. ``monitor_users``: may only look.
    """

    store_id: str
    folder: str
    acl_file: str
    port: int
    host: str | None = "127.0.0.1"
    tls: BrokerTls | None = None
    run_as: str | None = None
    store_users: tuple[str, ...] = ("store",)
    monitor_users: tuple[str, ...] = ("monitor",)

    def __post_init__(self) -> None:
        check_id(self.store_id, "store id")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"broker port {self.port} must be 1 to 65535")
        paths = {"folder": self.folder, "acl_file": self.acl_file}
        if self.tls:
            paths |= {"ca": self.tls.ca, "cert": self.tls.cert, "key": self.tls.key, "crl": self.tls.crl}
        for name, path in paths.items():
            _check_path(name, path)
        if self.host is not None:
            self._check_host(self.host)
        elif self.tls is None:
            raise ValueError(
                "broker without TLS needs a loopback host such as 127.0.0.1: it would listen on all"
            )
        if self.run_as is not None:
            check_id(self.run_as.replace("_", "-"), "broker run_as")
        for user in self.monitor_users:
            check_board_id(user)
        for user in self.store_users:
            check_id(user, "store user")
        names = self.store_users + self.monitor_users
        if not self.store_users or len(set(names)) != len(names):
            raise ValueError("broker users: at least one store user, and every name only once")

    def _check_host(self, host: str) -> None:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"broker host {host!r} must be an IP address, for instance 127.0.0.1") from None
        if self.tls is None and not address.is_loopback:
            raise ValueError(
                f"broker host {host} without TLS: plain TCP is for loopback only, "
                "give certificates or use 127.0.0.1"
            )


def _check_path(name: str, path: str) -> None:
    if not path.startswith("/") or path != path.strip() or not path.isprintable():
        raise ValueError(f"broker {name} {path!r} must be an absolute path without control characters")


def mosquitto_conf(plan: BrokerPlan) -> str:
    """A complete mosquitto.conf. Persistence as Debian ships it: journals, not the broker, keep records."""
    return "\n".join(_conf_lines(plan)) + "\n"


def _conf_lines(plan: BrokerPlan) -> Iterator[str]:
    yield f"# Broker of shop {plan.store_id}. Generated: changes made here are lost."
    yield "per_listener_settings false"  # must be the first option
    yield "persistence true"
    yield f"persistence_location {plan.folder.rstrip('/')}/"
    yield "persistent_client_expiration 14d"
    yield "max_queued_messages 20000"
    yield "max_inflight_messages 100"
    yield f"max_packet_size {MAX_PACKET_BYTES}"
    yield "set_tcp_nodelay true"
    yield "sys_interval 10"
    yield "log_dest stderr"
    for kind in ("error", "warning", "notice"):
        yield f"log_type {kind}"
    if plan.run_as is not None:
        yield f"user {plan.run_as}"
    yield f"acl_file {plan.acl_file}"
    yield f"allow_anonymous {'false' if plan.tls else 'true'}"
    yield f"listener {plan.port}" + (f" {plan.host}" if plan.host else "")
    if plan.tls:
        yield f"cafile {plan.tls.ca}"
        yield f"certfile {plan.tls.cert}"
        yield f"keyfile {plan.tls.key}"
        yield f"crlfile {plan.tls.crl}"
        yield "tls_version tlsv1.2"  # the lowest accepted
        yield "require_certificate true"
        yield "use_identity_as_username true"
        yield "use_username_as_clientid true"  # else one board's certificate can take over another's session


def acl(plan: BrokerPlan) -> str:
    """The access list, the same for boards in both modes; only loopback adds readers without a name.

    A refused publish is answered with reason 0x87. mosquitto grants any subscription and filters
    each delivery, so a SUBACK proves nothing.
    """
    return "\n".join(_acl_lines(plan)) + "\n"


def _acl_lines(plan: BrokerPlan) -> Iterator[str]:
    topics = StoreTopics(plan.store_id)
    watched = (
        topics.every("state"),
        topics.every("health"),
        topics.every("live"),
        topics.every_status,
        "$SYS/#",
    )
    yield f"# Access list of shop {plan.store_id}. Generated: changes made here are lost."
    if plan.tls is None:
        yield "# Loopback only: anybody on this machine may look"
        yield from (f"topic read {topic}" for topic in watched)
    for user in plan.store_users:
        yield f"user {user}"
        yield f"topic readwrite {topics.prefix}/#"
        yield "topic read $SYS/#"
    for user in plan.monitor_users:
        yield f"user {user}"
        yield from (f"topic read {topic}" for topic in watched)
        yield "topic read homeassistant/#"
    yield "# Boards: %u is the board's name"
    own = f"{topics.prefix}/%u"
    for kind in ("state", "health", "rec", "live", "ask/+"):
        yield f"pattern write {own}/{kind}"
    for kind in ("ack", "nack", "ans/+", "cmd/+"):
        yield f"pattern read {own}/{kind}"
    yield f"pattern write {topics.prefix}/{SHARED}/used/%u"
    yield f"pattern write {topics.prefix}/{SHARED}/used/%u/claim"
    for filter_ in (topics.every_status, topics.every_used, topics.every_claim, topics.every_table):
        yield f"pattern read {filter_}"
    yield f"pattern write homeassistant/device/tallygate-{plan.store_id}-%u/config"
