"""JSON Web Tokens signed with a private key, as SMART Backend Services asks for (RFC 7515, RFC 7523; ES384, RS384).

A key file holds a JWK, a JWK set, or one key as PEM. It is read for every token, so that a key is changed by
changing the file. Of a set all keys are of use, in their order: while a new one is made known, the old one still
opens the door.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ketafhir.errors import ConfigError
from ketafhir.private import refuse_exposed

ALGORITHMS = ("ES384", "RS384")


@dataclass(slots=True, frozen=True)
class SigningKey:
    """A private key with its `kid` and algorithm. It stands in no `repr`."""

    kid: str
    algorithm: str
    _key: Any = field(repr=False)

    def token(self, claims: Mapping[str, Any]) -> str:
        """The claims as a signed token."""
        header = {"alg": self.algorithm, "typ": "JWT", **({"kid": self.kid} if self.kid else {})}
        signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
        return f"{signed}.{_encoded(self._signature(signed.encode()))}"

    def _signature(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        if self.algorithm == "RS384":
            signature: bytes = self._key.sign(data, padding.PKCS1v15(), hashes.SHA384())
            return signature
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA384())))
        return int(r).to_bytes(48, "big") + int(s).to_bytes(48, "big")


def read_keys(file: Path, kid: str = "") -> list[SigningKey]:
    """The private keys of a file; `kid` names the key of a PEM file. Raises ConfigError, which holds no key."""
    try:
        refuse_exposed("key file", file)
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"the key file {file}: {error.strerror}") from error
    try:
        keys = _of_pem(data, kid) if data.lstrip().startswith(b"-----") else _of_jwks(data)
    except ImportError as error:
        raise ConfigError("signing in with a key needs cryptography: pip install 'ketafhir[smart]'") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        keys = []
    if not keys:
        raise ConfigError(
            f"the key file {file} holds no private key for ES384 (P-384) or RS384 (RSA of 2048 bits or more)"
        )
    return keys


def _of_pem(data: bytes, kid: str) -> list[SigningKey]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(data, None)
    return [SigningKey(kid, algorithm, key)] if (algorithm := _algorithm(key)) else []


def _of_jwks(data: bytes) -> list[SigningKey]:
    found = json.loads(data)
    keys = []
    for jwk in found.get("keys", [found]):
        if "d" in jwk:
            key = _private(jwk)
            algorithm = _algorithm(key)
            if algorithm and jwk.get("alg", algorithm) == algorithm:
                keys.append(SigningKey(str(jwk.get("kid", "")), algorithm, key))
    return keys


def _private(jwk: Mapping[str, str]) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    number = {name: _number(value) for name, value in jwk.items() if name in ("d", "x", "y", "n", "e", "p", "q")}
    if jwk["kty"] == "EC":
        if jwk["crv"] != "P-384":
            return None
        return ec.derive_private_key(number["d"], ec.SECP384R1())
    if "p" in number:
        p, q = number["p"], number["q"]
    else:
        p, q = rsa.rsa_recover_prime_factors(number["n"], number["e"], number["d"])
    public = rsa.RSAPublicNumbers(number["e"], number["n"])
    parts = rsa.rsa_crt_dmp1(number["d"], p), rsa.rsa_crt_dmq1(number["d"], q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, number["d"], *parts, public).private_key()


def _algorithm(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp384r1":
        return "ES384"
    return "RS384" if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048 else ""


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
