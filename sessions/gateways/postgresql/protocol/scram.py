"""SCRAM-SHA-256 and its -PLUS form, both ends (RFC 5802, RFC 7677, RFC 5929)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
ITERATIONS = 4096
"""PostgreSQL's own number. The passwords made here are random: no dictionary finds them."""
_LONGEST = 2048
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d{1,7}):([^$]+)\$([^:]+):(.+)")
_BINDING_TYPE = "tls-server-end-point"


class ScramMismatch(Exception):
    """The other end did not prove itself, or does not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps instead of a password."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        """Return the form in which PostgreSQL itself keeps it (pg_authid.rolpassword)."""
        salt, stored, server = map(_b64, (self.salt, self.stored_key, self.server_key))
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"


def read(written: str) -> Verifier:
    """Return the verifier that `str()` wrote. Raises Mismatch."""
    found = _VERIFIER.fullmatch(written)
    if not found:
        raise ScramMismatch("this is no SCRAM-SHA-256 verifier")
    return Verifier(_unb64(found[2]), int(found[1]), _unb64(found[3]), _unb64(found[4]))


def make(password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> Verifier:
    """Return the verifier of an ASCII password, whose SASLprep is itself."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = _hmac(salted, b"Client Key")
    return Verifier(salt, iterations, _hash(client_key), _hmac(salted, b"Server Key"))


def salt_of(name: str) -> bytes:
    """Return the salt of all passwords of a name, whether or not it opens anything: so a client
    may be asked before its password is made. A salt is no secret; it keeps one table of guesses
    from serving for many passwords, and ours can't be guessed.
    """
    return _hash(b"jit/postgresql/salt\0" + name.encode())[:16]


def endpoint_hash(certificate: bytes, *, digest: str = "sha256") -> bytes:
    """Return the channel-binding data of a DER certificate (RFC 5929, section 4.1)."""
    return hashlib.new("sha256" if digest in {"md5", "sha1"} else digest, certificate).digest()


class ScramServer:
    """One exchange as the server, about passwords with this salt and ITERATIONS. With `binding`
    (see endpoint_hash) the -PLUS form is offered as well.
    """

    def __init__(self, salt: bytes, *, binding: bytes | None = None) -> None:
        self._salt = salt
        self._binding = binding
        self._auth_start = self._gs2 = self._nonce = ""

    @property
    def mechanisms(self) -> list[str]:
        return [PLUS, PLAIN] if self._binding else [PLAIN]

    def first(self, mechanism: str, told: bytes) -> bytes:
        """Return the server-first-message. Raises Mismatch."""
        flag, authzid, bare = _split(_ascii(told), 3)
        if mechanism not in self.mechanisms:
            raise ScramMismatch(f"the mechanism {mechanism[:40]!r} was not offered")
        if mechanism == PLUS:
            if flag != f"p={_BINDING_TYPE}":
                raise ScramMismatch("only the channel binding tls-server-end-point is spoken")
        elif flag not in {"n", "y"} or (flag == "y" and self._binding):
            # "y" says: you don't offer -PLUS. We did, so somebody between us took it away.
            raise ScramMismatch("the channel binding was taken off on the way")
        if authzid:
            raise ScramMismatch("nobody may act for another name")
        # PostgreSQL ignores the name in here (libpq sends an empty one), and so do we.
        name, nonce = _split(bare, 2)
        if not name.startswith("n=") or not nonce.startswith("r=") or "," in nonce or nonce == "r=":
            raise ScramMismatch("the client's first message can't be read")
        self._gs2 = f"{flag},,"
        self._nonce = nonce[2:] + _b64(secrets.token_bytes(18))
        said = f"r={self._nonce},s={_b64(self._salt)},i={ITERATIONS}"
        self._auth_start = f"{bare},{said}"
        return said.encode()

    def final(self, told: bytes, verifiers: Sequence[Verifier]) -> tuple[Verifier, bytes]:
        """Return which of the verifiers was proven, and the server-final-message.

        Raises Mismatch, also for a wrong password.
        """
        without_proof, _, proof_text = _ascii(told).rpartition(",p=")
        channel, nonce = _split(without_proof, 2)
        expected = self._gs2.encode()
        if self._gs2.startswith("p="):
            expected += self._binding or b""
        if channel != f"c={_b64(expected)}":
            raise ScramMismatch("the channel is not the one that was bound")
        if not hmac.compare_digest(nonce, f"r={self._nonce}"):
            raise ScramMismatch("the nonce is not ours")
        proof = _unb64(proof_text)
        auth = f"{self._auth_start},{without_proof}".encode()
        proven = [each for each in verifiers if _proves(proof, each, auth)]
        if not proven:
            raise ScramMismatch("the password is another")
        return proven[0], b"v=" + _b64(_hmac(proven[0].server_key, auth)).encode()


class ScramClient:
    """One exchange as the client, who also checks the server's proof."""

    def __init__(self, password: str, *, binding: bytes | None = None) -> None:
        self._password = password
        self._binding = binding
        self._bare = f"n=,r={_b64(secrets.token_bytes(18))}"
        self._gs2 = f"p={_BINDING_TYPE},," if binding else "n,,"
        self._server_signature = b""

    def first(self) -> bytes:
        return (self._gs2 + self._bare).encode()

    def final(self, told: bytes) -> bytes:
        """Return the client-final-message. Raises Mismatch."""
        said = _ascii(told)
        nonce, salt, iterations = _split(said, 3)
        if not nonce.startswith(self._bare[3:]) or not salt.startswith("s="):
            raise ScramMismatch("the server's first message can't be read")
        if not re.fullmatch(r"i=\d{1,7}", iterations):
            raise ScramMismatch("the server's count of iterations can't be read")
        salted = hashlib.pbkdf2_hmac(
            "sha256", self._password.encode(), _unb64(salt[2:]), int(iterations[2:])
        )
        bound = _b64(self._gs2.encode() + (self._binding or b""))
        without_proof = f"c={bound},{nonce}"
        auth = f"{self._bare},{said},{without_proof}".encode()
        client_key = _hmac(salted, b"Client Key")
        proof = _xor(client_key, _hmac(_hash(client_key), auth))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), auth)
        return f"{without_proof},p={_b64(proof)}".encode()

    def check(self, told: bytes) -> None:
        """Raise Mismatch unless the server knows the password too."""
        expected = b"v=" + _b64(self._server_signature).encode()
        if not self._server_signature or not hmac.compare_digest(told, expected):
            raise ScramMismatch("the target did not prove that it knows the password")


def _proves(proof: bytes, verifier: Verifier, auth: bytes) -> bool:
    if len(proof) != len(verifier.stored_key):
        return False
    client_key = _xor(proof, _hmac(verifier.stored_key, auth))
    return hmac.compare_digest(_hash(client_key), verifier.stored_key)


def _split(text: str, parts: int) -> list[str]:
    found = text.split(",", parts - 1)
    if len(found) != parts:
        raise ScramMismatch("a SCRAM message has too few parts")
    return found


def _ascii(told: bytes) -> str:
    if len(told) > _LONGEST:
        raise ScramMismatch("a SCRAM message is too long")
    try:
        return told.decode("ascii")
    except UnicodeDecodeError:
        raise ScramMismatch("a SCRAM message is not ASCII") from None


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScramMismatch("a SCRAM message is not base64") from None


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _hash(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
