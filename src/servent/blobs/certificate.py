"""A self-signed certificate and its key for the TLS listener: P-256, made anew at every start.

Nobody trusts its name or dates; peers pin its SHA-256, which they learn in the hello. What makes it
(`cryptography.x509`) stays in memory for good, 3.6 MB (measured), so a node lets a short-lived process do it.
"""

from __future__ import annotations

import datetime
import subprocess
import sys

LIMIT = 10.0  # s for the process; it takes about 0.2


def fresh_pem() -> bytes:
    """Key (PKCS #8) and certificate, PEM, never written to disk here."""
    if "cryptography.x509" in sys.modules:  # paid for already
        return make_pem()
    try:
        made = subprocess.run(
            [sys.executable, "-m", "servent.blobs.certificate"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):  # no processes here, or a program without an interpreter
        return make_pem()
    return made


def make_pem() -> bytes:
    """The same, made here."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "servent")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))  # clocks are often wrong
        .not_valid_after(datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


if __name__ == "__main__":
    sys.stdout.buffer.write(make_pem())
