"""Make an authority of your own and certificates for the members of a Dask cluster.

    python certificates.py FOLDER scheduler worker client

writes FOLDER/ca.pem, and for each name NAME.pem and NAME-key.pem. Whoever has one of these pairs
may connect and run code, so the authority is for this cluster alone and its own key is not kept:
to admit somebody later, make all of them again.
"""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 365
Key = ec.EllipticCurvePrivateKey


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = name_of("sightline authority")
    write_certificate(folder / "ca.pem", sign(issuer, authority, issuer, authority, is_ca=True))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        write_key(folder / f"{name}-key.pem", key)
        certificate = sign(name_of(name), key, issuer, authority, is_ca=False)
        write_certificate(folder / f"{name}.pem", certificate)


def name_of(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def sign(
    subject: x509.Name, key: Key, issuer: x509.Name, authority: Key, *, is_ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    issuers_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks of hosts differ
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        # From Python 3.13 on, certificates without the following are refused.
        .add_extension(key_usage(is_ca=is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuers_key, critical=False)
        .sign(authority, hashes.SHA256())
    )


def key_usage(*, is_ca: bool) -> x509.KeyUsage:
    """An authority signs certificates, and its members what they say."""
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write_key(path: Path, key: Key) -> None:
    """Readable to its owner alone, from its first byte on."""
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
