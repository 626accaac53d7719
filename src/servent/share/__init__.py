"""Sharing: the library of what this node offers, and finding and getting what others do."""
