"""Since when nobody has touched this machine: keyboard, mouse, terminals. Asks the system, each way that it offers; waits for it, so call it in a thread.

No way reads what is typed: Linux tells when a terminal was last read from, how often a PS/2 keyboard interrupted, and what the desktop thinks; macOS and Windows have one question for it.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

AGAIN_AFTER = 60.0  # s until a way that failed is tried again
ASK_WITHIN = 2.0  # s that a program of the system may take to answer
# The desktops' own counts of milliseconds or seconds since the last touch; Wayland shows them nowhere else.
DESKTOPS = (
    ("org.gnome.Mutter.IdleMonitor", "/org/gnome/Mutter/IdleMonitor/Core", "GetIdletime", 1e-3),
    ("org.freedesktop.ScreenSaver", "/ScreenSaver", "GetSessionIdleTime", 1.0),  # KDE: seconds
)
PRESSES = re.compile(r"i8042|keyboard|mouse", re.IGNORECASE)


class Idle:
    """Asks each way there is; one that fails is left alone for a while: a desktop may begin long after the node.

    Args:
        wall: as times of files have it. root: where /dev and /proc lie, for tests.
    """

    def __init__(self, wall: Callable[[], float], root: Path = Path("/")) -> None:
        self._wall, self._root = wall, root
        self._presses: tuple[int, float] | None = None
        self._failed: dict[Callable[[], float | None], float] = {}
        self._ways: list[Callable[[], float | None]]
        if sys.platform == "win32":
            self._ways = [windows]
        elif sys.platform == "darwin":
            self._ways = [macos]
        else:
            self._ways = [self._terminals, self._interrupts, self._x11, *self._desktops()]

    def seconds(self) -> float | None:
        """Since the last touch; None where nothing here can tell, as on a machine without a keyboard and anybody logged in."""
        found = []
        now = self._wall()
        for way in self._ways:
            if now < self._failed.get(way, 0.0) + AGAIN_AFTER:
                continue
            try:
                answer = way()
            except (OSError, ValueError, AttributeError, IndexError, subprocess.SubprocessError):
                self._failed[way] = now
                continue
            if answer is not None:
                found.append(max(0.0, answer))
        return min(found, default=None)

    def _terminals(self) -> float | None:
        """A terminal's time of access is when a program last read from it; what is written to it does not count."""
        newest = None
        for pattern in ("tty[0-9]*", "pts/[0-9]*"):
            for terminal in (self._root / "dev").glob(pattern):
                try:
                    at = terminal.stat().st_atime
                except OSError:
                    continue  # it was closed just now
                newest = at if newest is None else max(newest, at)
        return None if newest is None else self._wall() - newest

    def _interrupts(self) -> float | None:
        """Since the count of a PS/2 keyboard or pointer last changed; those of USB stand under names of others."""
        count = 0
        there = False
        for line in (self._root / "proc/interrupts").read_text().splitlines():
            if PRESSES.search(line):
                there = True
                count += sum(int(word) for word in line.split()[1:] if word.isdigit())
        if not there:
            return None
        now = self._wall()
        if self._presses is None:
            self._presses = count, now - 86400.0  # nobody knows; let the other ways say
        elif self._presses[0] != count:
            self._presses = count, now
        return now - self._presses[1]

    def _x11(self) -> float | None:
        """What the X server says by its extension for screen savers."""
        return x11()

    def _desktops(self) -> list[Callable[[], float | None]]:
        if shutil.which("busctl") is None:
            return []

        def ask(name: str, path: str, method: str, unit: float) -> Callable[[], float | None]:
            def way() -> float | None:
                words = ["busctl", "--user", "call", name, path, name, method]
                said = subprocess.run(words, capture_output=True, text=True, timeout=ASK_WITHIN, check=True)
                return float(said.stdout.split()[-1]) * unit  # "t 12345"

            return way

        return [ask(*desktop) for desktop in DESKTOPS]


def x11() -> float | None:
    """Seconds. Raises OSError where there is no X server or its library."""

    class Info(ctypes.Structure):
        """XScreenSaverInfo of X11/extensions/scrnsaver.h."""

        _fields_ = (
            ("window", ctypes.c_ulong),
            ("state", ctypes.c_int),
            ("kind", ctypes.c_int),
            ("til_or_since", ctypes.c_ulong),
            ("idle", ctypes.c_ulong),
            ("event_mask", ctypes.c_ulong),
        )

    x, saver = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXss.so.1")
    x.XOpenDisplay.restype = x.XDefaultRootWindow.restype = ctypes.c_void_p
    x.XDefaultRootWindow.argtypes = x.XCloseDisplay.argtypes = [ctypes.c_void_p]
    saver.XScreenSaverQueryInfo.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(Info)]
    display = x.XOpenDisplay(None)
    if not display:
        raise OSError("no X server")
    try:
        info = Info()
        if not saver.XScreenSaverQueryInfo(display, x.XDefaultRootWindow(display), ctypes.byref(info)):
            raise OSError("the X server does not tell")
        return float(info.idle) / 1000
    finally:
        x.XCloseDisplay(display)


def macos() -> float | None:
    """Seconds since any event of a person, in the whole session."""
    graphics = ctypes.CDLL("/System/Library/Frameworks/ApplicationServices.framework/ApplicationServices")
    ask = graphics.CGEventSourceSecondsSinceLastEventType
    ask.restype, ask.argtypes = ctypes.c_double, [ctypes.c_int32, ctypes.c_uint32]
    return float(ask(1, 0xFFFFFFFF))  # kCGEventSourceStateHIDSystemState, kCGAnyInputEventType


def windows() -> float | None:
    """Seconds since the last event of a person, in this session."""

    class LastInput(ctypes.Structure):
        """LASTINPUTINFO of winuser.h."""

        _fields_ = (("size", ctypes.c_uint), ("ticks", ctypes.c_uint))

    library = ctypes.windll  # type: ignore[attr-defined]
    last = LastInput(ctypes.sizeof(LastInput), 0)
    if not library.user32.GetLastInputInfo(ctypes.byref(last)):
        raise OSError("GetLastInputInfo failed")
    return float((library.kernel32.GetTickCount() - last.ticks) & 0xFFFFFFFF) / 1000
