"""Errors that say whose move it is. Anything else that is raised is our bug.

UsageError   you asked for something that cannot be done as asked
PeerError    the other side broke the protocol, or refused
WorldError   network, disk or permissions stood in the way
"""


class ServentError(Exception):
    """Anything servent raises on purpose. `advice` is the next step for the person at the keyboard; tracebacks end with it."""

    advice = ""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        if advice is not None:
            self.advice = advice
        if self.advice:
            self.add_note(self.advice)


class UsageError(ServentError):
    """You asked for something that cannot be done as asked."""


class NotFound(UsageError):
    """What you named does not exist here."""


class Doubtful(UsageError):
    """It can be done, but rarely is what a person means: say it again with `confirm`."""


class PeerError(ServentError):
    """The other side broke the protocol."""


class BadMessage(PeerError):
    """Bytes from outside that do not decode as what they should be."""

    advice = "The other side may run a newer or a broken version; `servent peers` shows its version."


class Refused(PeerError):
    """The other side (or we) said no: not known, not granted, or over a limit."""

    advice = "Ask them for a ticket or an invitation, then `servent join TICKET`."


class WorldError(ServentError):
    """Network, disk or permissions stood in the way."""


class Unreachable(WorldError):
    """No path to a peer was found in time."""

    advice = "Is their node running? `servent doctor` tests your own side."

    def __init__(self, peer: str, waited: float, tried: list[str]) -> None:
        super().__init__(
            f"no path to {peer} in {waited:.0f} s (tried {', '.join(tried) or 'nothing: no address known'})"
        )
        self.peer, self.waited, self.tried = peer, waited, tried


class ConnectionLost(WorldError):
    """A connection or stream that was open is gone. What was under way can be tried again."""

    advice = "The node reconnects by itself; transfers continue where they stopped."


class DiskTrouble(WorldError):
    """The disk is full, read-only, or not ours to write."""

    advice = "Free some space or fix the permissions, then `servent resume`; nothing verified is lost."
