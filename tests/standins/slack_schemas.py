"""JSON Schemas made from Slack's own TypeScript types, for what we send and what our human sends.

The types say `enterprise?: {…}` where Slack sends null as well; both are taken.
"""

from __future__ import annotations

import functools
import json
import subprocess
from typing import Any

import jsonschema

from tests.standins import slack_emulator

FOLDER = slack_emulator.HERE / "node_modules" / ".jit-schemas-5.1.0-3.2.0"
TYPES = """
import type { KnownBlock, View } from "@slack/types";
import type { BlockAction, BlockSuggestion, SlashCommand, ViewSubmitAction } from "@slack/bolt";
export interface Message { text: string; blocks: KnownBlock[] }
export type AnyView = View;
export type Click = BlockAction;
export type Submission = ViewSubmitAction;
export type Command = SlashCommand;
export type Suggestion = BlockSuggestion;
"""
GENERATOR = "node_modules/ts-json-schema-generator/bin/ts-json-schema-generator.js"


@functools.cache
def _validator(name: str) -> jsonschema.Draft7Validator:
    """Return the validator of one of TYPES, generating its schema once for these versions."""
    slack_emulator.install()
    path = FOLDER / f"{name}.json"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        types = FOLDER / "types.ts"
        types.write_text(TYPES, encoding="utf-8")
        made = subprocess.run(
            [slack_emulator.NODE, GENERATOR, "--path", types, "--type", name, "--no-type-check"],
            cwd=slack_emulator.HERE,
            check=True,
            capture_output=True,
            timeout=120,
        )
        path.write_bytes(made.stdout)
    return jsonschema.Draft7Validator(json.loads(path.read_text(encoding="utf-8")))


def check(name: str, document: dict[str, Any]) -> None:
    """Raise AssertionError unless the document is what Slack's types say."""
    if "enterprise" in document and document["enterprise"] is None:
        document = {key: value for key, value in document.items() if key != "enterprise"}
    error = jsonschema.exceptions.best_match(_validator(name).iter_errors(document))
    assert error is None, f"{name}: {error.message} at {list(error.absolute_path)}"
