"""Other people's BitTorrent programs, driven as a person would: each seeds and fetches by .torrent files."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import libtorrent as lt

STOP = 5.0  # s


class Program:
    """One running program with an address of its own. `kinds`: what it seeds; `fetches`: what it can fetch."""

    name = ""
    binary = ""
    kinds: tuple[str, ...] = ("v1",)
    fetches: tuple[str, ...] = ("v1",)

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        self.seeding, self.fetching = folder / "seeding", folder / "fetching"
        for one in (self.seeding, self.fetching):
            one.mkdir(parents=True)
        self._running: list[subprocess.Popen[bytes]] = []

    @classmethod
    def missing(cls) -> bool:
        return bool(cls.binary) and shutil.which(cls.binary) is None

    def spawn(self, *command: str, log: str = "log") -> None:
        with (self.folder / log).open("ab") as file:
            self._running.append(
                subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
            )

    def start(self) -> None: ...

    def seed(self, torrent: Path) -> None:
        """What lies below `seeding`."""
        raise NotImplementedError

    def fetch(self, torrent: Path) -> None:
        """Into `fetching`."""
        raise NotImplementedError

    def infohashes(self) -> set[str]:
        """Of all its torrents, in hex."""
        return set()

    def stop(self) -> None:
        for one in self._running:
            one.send_signal(signal.SIGTERM)
        for one in self._running:
            try:
                one.wait(STOP)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


class Aria2(Program):
    """1.36 takes a hybrid for version 1, and gets its infohash wrong, so that it finds nobody."""

    name, binary = "aria2", "aria2c"
    port = 6911

    def _run(self, folder: Path, torrent: Path, *more: str) -> None:
        self.port += 1
        self.spawn(
            "aria2c", "--enable-dht=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--no-conf",
            "--seed-ratio=0", f"--interface={self.host}", f"--listen-port={self.port}", "--file-allocation=none",
            "--summary-interval=0", "-d", str(folder), *more, str(torrent),
        )  # fmt: skip

    def start(self) -> None:
        self._shown: list[Path] = []

    def seed(self, torrent: Path) -> None:
        self._shown.append(torrent)
        self._run(self.seeding, torrent, "--bt-seed-unverified=true")

    def fetch(self, torrent: Path) -> None:
        self._shown.append(torrent)
        self._run(self.fetching, torrent)

    def infohashes(self) -> set[str]:
        words = [["aria2c", "-S", str(torrent)] for torrent in self._shown]
        said = [subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in words]
        return {line.split()[2] for one in said for line in one.splitlines() if line.startswith("Info Hash:")}


class Transmission(Program):
    """3.00 refuses hybrids as "invalid or corrupt": it cannot read the empty key of a file tree."""

    name, binary = "transmission", "transmission-daemon"

    def start(self) -> None:
        for kind in ("seeding", "fetching"):
            home = self.folder / f"home-{kind}"
            home.mkdir()
            number = 1 if kind == "seeding" else 2
            self.spawn(
                "transmission-daemon", "-f", "-g", str(home), "-w", str(self.folder / kind), "--no-dht", "--no-lpd",
                "--no-portmap", "--no-utp", "-T", "-a", "*", "-r", self.host, "-p", str(9090 + number), "-P",
                str(51412 + number), "-i", self.host, "--no-incomplete-dir",
            )  # fmt: skip

    def _remote(self, number: int, *words: str) -> str:
        place = f"{self.host}:{9090 + number}"
        for _ in range(50):
            said = subprocess.run(
                ["transmission-remote", place, *words], check=False, capture_output=True, text=True
            )
            if said.returncode == 0:
                return said.stdout
            subprocess.run(["sleep", "0.1"], check=True)
        raise RuntimeError(f"transmission-remote {' '.join(words)}: {said.stdout}{said.stderr}")

    def seed(self, torrent: Path) -> None:
        self._remote(1, "-a", str(torrent))

    def fetch(self, torrent: Path) -> None:
        self._remote(2, "-a", str(torrent))

    def infohashes(self) -> set[str]:
        both = self._remote(1, "-t", "all", "-i") + self._remote(2, "-t", "all", "-i")
        return {line.split()[1] for line in both.splitlines() if line.strip().startswith("Hash:")}


class Qbittorrent(Program):
    name, binary = "qbittorrent", "qbittorrent-nox"
    kinds = fetches = ("v1", "v2", "hybrid")
    web = 8099

    def start(self) -> None:
        config = self.folder / "qBittorrent" / "config"
        config.mkdir(parents=True)
        (config / "qBittorrent.conf").write_text(
            "[LegalNotice]\nAccepted=true\n"
            "[BitTorrent]\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\nSession\\PeXEnabled=false\n"
            f"Session\\Port=6921\nSession\\InterfaceAddress={self.host}\nSession\\UseUPnP=false\n"
            "Session\\AnnounceToAllTrackers=true\nSession\\MultiConnectionsPerIp=true\n"
            f"[Preferences]\nWebUI\\Address={self.host}\nWebUI\\Port={self.web}\nWebUI\\LocalHostAuth=false\n"
            "WebUI\\CSRFProtection=false\nWebUI\\HostHeaderValidation=false\n"
            "WebUI\\AuthSubnetWhitelistEnabled=true\nWebUI\\AuthSubnetWhitelist=10.0.0.0/8\n"
            "[Meta]\nMigrationVersion=4\n"
        )
        self.spawn("qbittorrent-nox", f"--profile={self.folder}")

    def _ask(self, path: str, fields: dict[str, str | bytes] | None = None) -> Any:
        request = urllib.request.Request(f"http://{self.host}:{self.web}/api/v2/{path}")
        if fields is not None:
            mark = uuid4().hex
            body = b""
            for key, value in fields.items():
                kind = '; filename="f.torrent"' if isinstance(value, bytes) else ""
                data = value if isinstance(value, bytes) else value.encode()
                body += f'--{mark}\r\nContent-Disposition: form-data; name="{key}"{kind}\r\n\r\n'.encode()
                body += data + b"\r\n"
            request.data = body + f"--{mark}--\r\n".encode()
            request.add_header("Content-Type", f"multipart/form-data; boundary={mark}")
        for _ in range(100):
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return answer.read()
            except OSError as wrong:
                trouble = wrong
                subprocess.run(["sleep", "0.1"], check=True)
        raise trouble

    def _add(self, torrent: Path, folder: Path, **more: str) -> None:
        wish = {
            "torrents": torrent.read_bytes(),
            "savepath": str(folder),
            "contentLayout": "Original",
            **more,
        }
        assert self._ask("torrents/add", wish) == b"Ok.", torrent

    def seed(self, torrent: Path) -> None:
        self._add(torrent, self.seeding, skip_checking="true")

    def fetch(self, torrent: Path) -> None:
        self._add(torrent, self.fetching)

    def infohashes(self) -> set[str]:
        known = json.loads(self._ask("torrents/info"))
        return {one[key] for one in known for key in ("infohash_v1", "infohash_v2") if one.get(key)}


class Libtorrent(Program):
    """Plain libtorrent 2.1, in this process."""

    name = "libtorrent"
    kinds = fetches = ("v1", "v2", "hybrid")

    def start(self) -> None:
        self._session = lt.session(
            {
                "listen_interfaces": f"{self.host}:6931",
                "enable_dht": False,
                "enable_lsd": False,
                "enable_upnp": False,
                "enable_natpmp": False,
                "allow_multiple_connections_per_ip": True,
            }
        )
        self._handles: list[Any] = []
        self._known: set[str] = set()

    def _add(self, torrent: Path, folder: Path, flags: int = 0) -> None:
        wish = lt.load_torrent_buffer(torrent.read_bytes())
        wish.save_path = str(folder)
        wish.flags = (wish.flags | flags) & ~lt.torrent_flags.auto_managed & ~lt.torrent_flags.paused
        self._handles.append(self._session.add_torrent(wish))
        both = self._handles[-1].info_hashes()
        self._known |= {str(one) for one in (both.v1, both.v2) if not one.is_all_zeros()}

    def seed(self, torrent: Path) -> None:
        self._add(torrent, self.seeding, lt.torrent_flags.seed_mode)

    def fetch(self, torrent: Path) -> None:
        self._add(torrent, self.fetching)

    def leave(self, infohash: str) -> None:
        """Seed this one of version 1 no more."""
        for handle in self._handles:
            if str(handle.info_hashes().v1) == infohash:
                self._session.remove_torrent(handle)

    def infohashes(self) -> set[str]:
        return self._known

    def stop(self) -> None:
        self._session.pause()


PROGRAMS: tuple[type[Program], ...] = (Aria2, Transmission, Qbittorrent, Libtorrent)
