"""servent: a computer as a full peer again.

Public names are loaded when first used, so that a command line that needs none of them starts fast.
"""

from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Grid": "servent.api.grid_map",
    "GridExecutor": "servent.api.grid_executor",
    "GridFailure": "servent.api.grid_items",
    "GridResult": "servent.api.grid_items",
    "Node": "servent.node",
    "PeerId": "servent.identity",
    "ServentError": "servent.errors",
    "UsageError": "servent.errors",
    "PeerError": "servent.errors",
    "WorldError": "servent.errors",
}
__all__ = [
    "Grid",
    "GridExecutor",
    "GridFailure",
    "GridResult",
    "Node",
    "PeerError",
    "PeerId",
    "ServentError",
    "UsageError",
    "WorldError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "grid":  # `@servent.grid.app`
        return import_module("servent.grid")
    if name not in _WHERE:
        raise AttributeError(f"module 'servent' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
