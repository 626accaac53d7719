"""Where it was before downloads needed it, too."""

from servent.blobs.infov1 import (
    Plain,
    PlainFile,
    agree,
    hybrid,
    last_file,
    places_of,
    read,
    safe_paths,
)

__all__ = ["Plain", "PlainFile", "agree", "hybrid", "last_file", "places_of", "read", "safe_paths"]
