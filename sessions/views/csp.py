"""What two libraries need of the browser beyond the pages' strict policy, on their pages only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from django.conf import settings
from django.utils.csp import CSP

type Policy = Mapping[str, Collection[str] | str]

_STRICT = cast("Policy", settings.SECURE_CSP)
TERMINAL: Policy = {**_STRICT, "style-src": [CSP.SELF, CSP.UNSAFE_INLINE]}
"""xterm.js writes the terminal's size and colours into style elements of its own."""
PLAYER: Policy = {**TERMINAL, "script-src": [CSP.SELF, "'wasm-unsafe-eval'"]}
"""asciinema-player has its terminal emulator as WebAssembly."""
