"""The few line drawings of the pages, 24 by 24, drawn with the text's own colour."""

from __future__ import annotations

from types import MappingProxyType

PATHS = MappingProxyType(
    {
        "home": '<path d="M4 11l8-7 8 7"/><path d="M6 10v9h12v-9"/><path d="M10 19v-5h4v5"/>',
        "plus": '<path d="M12 5v14M5 12h14"/>',
        "inbox": '<path d="M4 13l3-8h10l3 8v6H4z"/><path d="M4 13h5a3 3 0 0 0 6 0h5"/>',
        "list": '<path d="M9 6h11M9 12h11M9 18h11M5 6v.01M5 12v.01M5 18v.01"/>',
        "key": '<circle cx="8" cy="15" r="4"/><path d="M11 12l8-8M16 7l3 3M14 9l2 2"/>',
        "eye": '<circle cx="12" cy="12" r="2.5"/><path d="M3 12c5-8 13-8 18 0-5 8-13 8-18 0z"/>',
        "ticket": '<path d="M4 7h16v3a2 2 0 0 0 0 4v3H4v-3a2 2 0 0 0 0-4z"/><path d="M14 7v10"/>',
        "stack": '<path d="M12 4l8 4-8 4-8-4z"/><path d="M4 12l8 4 8-4M4 16l8 4 8-4"/>',
        "scale": '<path d="M12 4v16M8 20h8M5 7l7-2 7 2"/><path d="M2 13l3-6 3 6a3 3 0 0 1-6 0z"/>'
        '<path d="M16 13l3-6 3 6a3 3 0 0 1-6 0z"/>',
        "shield": '<path d="M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z"/><path d="M9 12l2 2 4-4"/>',
        "user": '<circle cx="12" cy="8" r="4"/><path d="M5 20c1-4 4-5 7-5s6 1 7 5"/>',
        "download": '<path d="M12 4v11M8 11.5l4 4 4-4M5 20h14"/>',
        "out": '<path d="M14 5H6v14h8M10 12h10M17 9l3 3-3 3"/>',
        "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
        "theme": '<circle cx="12" cy="12" r="8"/><path d="M12 4v16"/>'
        '<path d="M12 8h3M12 12h7.5M12 16h5"/>',
        "clock": '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3 2"/>',
        "check": '<path d="M5 12.5l4.5 4.5L19 7"/>',
        "cross": '<path d="M6 6l12 12M18 6L6 18"/>',
        "question": '<path d="M8.5 9a3.5 3.5 0 1 1 5 3c-1 .6-1.5 1-1.5 2M12 17.5v.01"/>',
        "minus": '<path d="M6 12h12"/>',
        "bell": '<path d="M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 20h4"/>',
        "copy": '<rect x="8" y="8" width="12" height="12" rx="2"/>'
        '<path d="M16 8V5a1 1 0 0 0-1-1H5a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h3"/>',
        "external": '<path d="M11 6H6v12h12v-5M13 11l7-7M15 4h5v5"/>',
        "bolt": '<path d="M13 3v7h6l-8 11v-7H5z"/>',
        "lock": '<rect x="5" y="11" width="14" height="9" rx="2"/>'
        '<path d="M8 11V8a4 4 0 0 1 8 0v3"/>',
        "search": '<circle cx="10.5" cy="10.5" r="6"/><path d="M15 15l5 5"/>',
        "play": '<path d="M7 5l12 7-12 7z"/>',
        "terminal": '<rect x="3.5" y="5" width="17" height="14" rx="2"/>'
        '<path d="M7 10l3 2.5L7 15M12.5 15H17"/>',
        "history": '<path d="M4 12a8 8 0 1 0 2.5-5.8L4 8M4 4v4h4M12 8v4l3 2"/>',
        # The shapes of states: told apart without colour.
        "ring": '<circle cx="12" cy="12" r="8"/>',
        "ring-dashed": '<circle cx="12" cy="12" r="8" stroke-dasharray="4 3"/>',
        "ring-half": '<circle cx="12" cy="12" r="8"/>'
        '<path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>',
        "ring-check": '<circle cx="12" cy="12" r="8.5"/><path d="M8.5 12.2l2.5 2.5 4.5-5"/>',
        "ring-cross": '<circle cx="12" cy="12" r="8.5"/><path d="M9 9l6 6M15 9l-6 6"/>',
        "ring-minus": '<circle cx="12" cy="12" r="8.5"/><path d="M8.5 12h7"/>',
        "dot": '<circle cx="12" cy="12" r="8"/><circle cx="12" cy="12" r="4" fill="currentColor"/>',
        "square": '<rect x="5" y="5" width="14" height="14" rx="2"/>',
        "square-check": '<rect x="4.5" y="4.5" width="15" height="15" rx="2"/>'
        '<path d="M8.5 12.2l2.5 2.5 4.5-5"/>',
        "turn": '<path d="M12 4a8 8 0 1 1-7.4 5"/><path d="M4 4v5h5"/>',
        "hourglass": '<path d="M7 4h10M7 20h10M8 4c0 5 8 6 8 11v5M16 4c0 5-8 6-8 11v5"/>',
        "octagon": '<path d="M8.5 4h7L20 8.5v7L15.5 20h-7L4 15.5v-7z"/>'
        '<path d="M12 8v5M12 16v.01"/>',
        "warning": '<path d="M12 4l9 16H3z"/><path d="M12 10v4M12 17v.01"/>',
        "flag": '<path d="M6 21V4h12l-3 4 3 4H6"/>',
        "arrow-back": '<path d="M9 6l-5 5 5 5M4 11h10a5 5 0 0 1 0 9h-2"/>',
    }
)
