"""WebAssembly's text form, put together in the node itself: only what its own person wrote comes here."""

from __future__ import annotations

import wasmtime

from servent.errors import UsageError


def assemble(text: bytes) -> bytes:
    """The module that `text` describes. Raises UsageError: it is not right, and where."""
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as wrong:
        raise UsageError(f"the module's text is not right: {str(wrong).strip()[:500]}") from wrong
