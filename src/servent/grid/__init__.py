"""Volunteer computing: projects, their coordinator, the sandbox of a volunteer, credit that anybody can check."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from servent.grid.pyapps.marks import app as app


def __getattr__(name: str) -> Any:
    """`servent.grid.app`, when it is first used."""
    if name != "app":
        raise AttributeError(f"module 'servent.grid' has no attribute {name!r}")
    from servent.grid.pyapps.marks import app

    return app
