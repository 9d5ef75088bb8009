"""What proves one request: its events, each with its way to a signed checkpoint."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from jit.audit import proofs, queries
from jit.audit.proofs import NotSealedYet
from jit.audit.verifier import EVIDENCE
from jit.kernel import clock


def evidence_of_request(request_id: uuid.UUID, *, now: dt.datetime) -> dict[str, Any]:
    """Return the pack of one request, ready for `json.dumps`; `verifier.py` checks it offline.

    `events` are the sealed ones in the order of the log, each as the exact text that was sealed
    with its index and inclusion proof; `not_sealed_yet` counts those the sealer has yet to
    reach. Other keys may be added beside these: the verifier reads over them. Raises
    NotSealedYet when nothing is sealed.
    """
    bodies = {event.seq: bytes(event.body) for event in queries.timeline_of_request(request_id)}
    return {"request_id": str(request_id), **_pack(bodies, now=now)}


def evidence_of_events(seqs: Sequence[int], *, now: dt.datetime) -> dict[str, Any]:
    """Return a pack of these events, in the shape of a request's. It proves that each was sealed
    as it stands, not that there are no others. Raises NotSealedYet.
    """
    return {"of": "a search", **_pack(queries.bodies_of(seqs), now=now)}


def _pack(bodies: Mapping[int, bytes], *, now: dt.datetime) -> dict[str, Any]:
    checkpoint = proofs.latest_checkpoint()
    if checkpoint is None:
        raise NotSealedYet("Nothing is sealed yet. Try again in a few seconds.")
    proven = proofs.prove_all(seqs=list(bodies), checkpoint=checkpoint)
    return {
        "format": EVIDENCE,
        "made_at": clock.rfc3339(now),
        "key": checkpoint.vkey,
        "checkpoint": checkpoint.note,
        "events": [
            {
                "index": proof.index,
                "event": bodies[proof.seq].decode(),
                "proof": [base64.b64encode(step).decode() for step in proof.path],
            }
            for proof in proven
        ],
        "not_sealed_yet": len(bodies) - len(proven),
    }
