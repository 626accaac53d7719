"""People: friends by mutual consent, presence, direct messages, rooms, and the history of what was said."""
