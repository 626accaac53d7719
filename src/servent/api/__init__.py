"""The one door of a running node: HTTP on loopback, a token, events. `cli` and `web` know nothing else."""
