"""Certificates for tests: an authority made for the run, and servers that it vouches for."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_KEY = ec.generate_private_key(ec.SECP256R1())
_AUTHORITY = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority for tests")])


def _certificate(name: str, *, authority: bool) -> bytes:
    """A certificate for a name, signed with the one key that everything here has."""
    now = datetime.now(UTC)
    subject = _AUTHORITY if authority else x509.Name([])
    identifier = x509.SubjectKeyIdentifier.from_public_key(_KEY.public_key())
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY)
        .public_key(_KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .add_extension(identifier, critical=False)
        .sign(_KEY, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM)


def server_context(name: str, folder: Path) -> ssl.SSLContext:
    """What a server of this name speaks TLS with."""
    key = _KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(key + _certificate(name, authority=False))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def trusting_context() -> ssl.SSLContext:
    """What a client that trusts the authority speaks TLS with."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=_certificate("authority.example", authority=True).decode())
    return context
