"""What people and programs hear of a journey, through real workers."""

from __future__ import annotations

import time
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.support.processes import Running, until
from tests.support.receivers import Receiver, webhook_receiver


class TestHearing:
    def test_everybody_and_every_program_hears_of_each_turn_once(self, jit: Running) -> None:
        with webhook_receiver() as receiver:
            endpoint = self.listen(jit, receiver)
            receiver.answers = ["drop", 500]
            request_id, grant_id = jit.active()
            began = time.monotonic()
            jit.give_back(grant_id)
            assert time.monotonic() - began < 20, "a failing receiver held up a revocation"
            wanted = ["jit.active", "jit.asked", "jit.decided", "jit.ended"]
            until(lambda: self.heard(receiver, endpoint, request_id), wanted.__eq__, seconds=40)
            found = until(  # the receiver must stay for what it refused to come again
                lambda: jit.rita.get(f"requests/{request_id}/deliveries/").json()["items"],
                lambda items: {item["outcome"] for item in items} == {"DELIVERED"},
                seconds=60,
            )
            ids = [got.headers["webhook-id"] for got in receiver.received]
            assert len(ids) > len(set(ids)), "the first two were told again, by the same id"
        titles = [item["title"] for item in jit.rita.get("notifications/").json()["items"]]
        assert "ada approved your request for orders-db-writer" in titles
        assert {item["kind"] for item in found if item["to"] == "rita"} == {
            "decided",
            "active",
            "ended",
        }
        jit.opal.http("DELETE", f"webhooks/{endpoint['id']}/")

    def listen(self, jit: Running, receiver: Receiver) -> Any:
        body = {"name": f"journey-{receiver.port}", "url": receiver.url}
        made = jit.opal.post("webhooks/", body)
        assert made.status_code == 201, made.text
        return made.json()

    def heard(self, receiver: Receiver, endpoint: Any, request_id: str) -> list[str]:
        """Return the verified messages about the request, each counted once."""
        signer = Webhook(endpoint["secret"])
        seen = {
            got.headers["webhook-id"]: signer.verify(got.body, got.headers)
            for got in list(receiver.received)
        }
        return sorted(one["type"] for one in seen.values() if one["data"]["request"] == request_id)
