"""Settings of the tests: those of the product, on real servers that live as long as the run.

The servers start here because pytest-django reads the settings before any hook of a conftest.
"""

from __future__ import annotations

import base64
import os
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support import folders, servers

_where = servers.ensure()


def _audit_key() -> str:
    path = folders.passing("test-audit") / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(path)


# Where xdist's workers share a Valkey server, each has a database of its own.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")
_audit_key_file = _audit_key()
for _name in [name for name in os.environ if name.startswith(("JIT_", "DATABASE_", "REDIS_"))]:
    if not _name.startswith("JIT_TEST_"):
        del os.environ[_name]  # A developer's own installation never leaks into a test.
os.environ |= {
    "JIT_EMBEDDED": "1",
    "JIT_SECRET_KEY": secrets.token_urlsafe(48),
    "JIT_SEALING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    "JIT_AUDIT_KEY_FILE": _audit_key_file,
    "DATABASE_URL": _where["database"],
    "REDIS_URL": f"{_where['redis'].rpartition('/')[0]}/{int(_worker) + 1}",
}

from jit.settings import *  # noqa: E402, F403 -- the environment had to be set first
from jit.settings import DATABASES  # noqa: E402

# A test's connection lives in a transaction that is rolled back: a pool would hand out others.
DATABASES["default"]["OPTIONS"].pop("pool")
# For as long as that the test may wait for something, at which the server must not lose patience.
DATABASES["default"]["OPTIONS"]["options"] += " -c idle_in_transaction_session_timeout=0"
DATABASES["default"]["TEST"] = {"NAME": "jit_test"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
