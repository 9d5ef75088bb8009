"""Settings of recordings: spool, store, retention, redaction (docs/recordings.md)."""

from __future__ import annotations

from pathlib import Path

from jit import env

_DATA = Path(env.text("JIT_DATA", str(Path(__file__).resolve().parents[2] / ".data")))
RECORDINGS_SPOOL = Path(env.text("JIT_RECORDINGS_SPOOL", str(_DATA / "spool")))
"""On a gateway's own disk: where a recording is until the store has it."""
RECORDINGS_STORE = "sessions.recording.stores.filesystem.FileSystem"
RECORDINGS_FOLDER = Path(env.text("JIT_RECORDINGS_FOLDER", str(_DATA / "recordings")))
"""Where they lie for good, unless a bucket is named."""
RECORDINGS_S3 = {
    "bucket": env.text("JIT_RECORDINGS_S3_BUCKET", ""),
    "prefix": env.text("JIT_RECORDINGS_S3_PREFIX", ""),
    "endpoint": env.text("JIT_RECORDINGS_S3_ENDPOINT", ""),
    "region": env.text("JIT_RECORDINGS_S3_REGION", ""),
    "access_key": env.secret("JIT_RECORDINGS_S3_ACCESS_KEY", ""),
    "secret_key": env.secret("JIT_RECORDINGS_S3_SECRET_KEY", ""),
    "lock": env.choice("JIT_RECORDINGS_S3_LOCK", "", "GOVERNANCE", "COMPLIANCE"),
}
"""`lock` needs a bucket made with Object Lock: nobody then deletes before the time is over."""
if RECORDINGS_S3["bucket"]:
    RECORDINGS_STORE = "sessions.recording.stores.s3.S3"
RECORDINGS_STDIN_TEXT = env.integer("JIT_RECORDINGS_STDIN_TEXT", 65536)
"""Bytes of a program's standard input whose text is kept, for roles with `record_stdin: text`."""
RECORDINGS_KEPT_DAYS = {
    "low": env.integer("JIT_RECORDINGS_KEPT_DAYS_LOW", 90),
    "medium": env.integer("JIT_RECORDINGS_KEPT_DAYS_MEDIUM", 180),
    "high": env.integer("JIT_RECORDINGS_KEPT_DAYS_HIGH", 365),
    "critical": env.integer("JIT_RECORDINGS_KEPT_DAYS_CRITICAL", 730),
}
"""By the risk of the role; a legal hold keeps a recording beyond that."""
RECORDINGS_VERIFY_DAYS = env.integer("JIT_RECORDINGS_VERIFY_DAYS", 1)
"""Each stored recording is read and verified again within so many days."""
RECORDINGS_VERIFY_SECONDS = env.integer("JIT_RECORDINGS_VERIFY_SECONDS", 60)
"""A worker does that for at most so many seconds of every five minutes."""
RECORDINGS_MISSING_AFTER = env.integer("JIT_RECORDINGS_MISSING_AFTER", 3600)
"""Seconds after a session's end when a recording that did not reach the store counts as lost."""

REDACTION_PATTERNS = [
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"(?i)aws_?(?:secret_?access_?key|session_?token)\W{1,5}(?P<secret>[A-Za-z0-9/+=]{30,})",
    r"(?i)\b(?:password|passwd|pwd)=(?P<secret>[^\s'\"&;]+)",
    r"(?i)\b[a-z][a-z0-9+.-]{0,20}://[^/\s:@]*:(?P<secret>[^/\s@]+)@",
    r"(?i)\b(?:password|passwd|secret|token)\b\s*(?:[=:]\s*)?'(?P<secret>(?:[^'\n]|'')+)'",
    r"\bMOSH CONNECT \d+ (?P<secret>\S+)",
    r"(?i)\b(?:authorization:\s*)?bearer\s+(?P<secret>[\w.~+/=-]{20,})",
]
"""What viewers of recordings don't see (its group `secret`, or all of it), beside private keys.
The recording itself keeps it, sealed.
"""
