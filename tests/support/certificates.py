"""A certificate authority for tests: short-lived EC certificates, a revocation list, TLS contexts."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    cert: Path
    key: Path
    serial: int


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """Writes ``ca.crt`` and ``crl.pem`` into ``folder``; certificates beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.crt"
        self.crl = folder / "crl.pem"
        self._now = datetime.datetime.now(datetime.UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._revoked: list[int] = []
        certificate = (
            self._builder("test shop", self._key.public_key(), 1)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._write_crl()

    def _builder(self, name: str, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        start = self._now - datetime.timedelta(days=2)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("test shop"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(self._now + datetime.timedelta(days=days))
        )

    def _write_crl(self) -> None:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name("test shop"))
            .last_update(self._now - datetime.timedelta(days=1))
            .next_update(self._now + datetime.timedelta(days=1))
        )
        for serial in self._revoked:
            revoked = (
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self._now).build()
            )
            builder = builder.add_revoked_certificate(revoked)
        self.crl.write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )

    def issue(self, name: str, days: int = 1) -> Issued:
        """A certificate for ``name``; a negative ``days`` makes one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(name, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
                ),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(self.folder / f"{name}.crt", self.folder / f"{name}.key", certificate.serial_number)
        issued.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return issued

    def server(self) -> Issued:
        return self.issue("localhost")

    def context(
        self, name: str | None, *, days: int = 1, revoke: bool = False, trust: Authority | None = None
    ) -> ssl.SSLContext:
        """A client's TLS context with a certificate for ``name`` (None: without one)."""
        context = ssl.create_default_context(cafile=str((trust or self).ca))
        if name is not None:
            issued = self.issue(name, days)
            context.load_cert_chain(issued.cert, issued.key)
            if revoke:
                self._revoked.append(issued.serial)
                self._write_crl()
        return context
