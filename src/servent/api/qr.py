"""QR codes, for the page and for the terminal."""

from __future__ import annotations

import io


def svg(text: str) -> str:
    """An inline SVG that takes the size of its box; dark on white, so that phones read it in any theme."""
    import segno

    out = io.BytesIO()
    segno.make(text, error="l", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=3, dark="#000", light="#fff"
    )
    return out.getvalue().decode("utf-8").strip()


def terminal(text: str) -> str:
    """Half-block characters, two modules a line."""
    import segno

    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()
