"""The network above the connections: who is in it, who carries which role, and what is to be found where."""
