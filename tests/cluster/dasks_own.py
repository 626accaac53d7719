"""Runs what distributed's own test suite checks of every comm backend against ours, and prints as JSON how each went.

    python -m tests.cluster.dasks_own [tcp|streams] [PATH of distributed's comm/tests/test_comms.py]

distributed's packages on PyPI come without their tests; Debian's `python3-distributed` has them, of an older version, whose checks
of the abstract API are written against any address. They run with the distributed that is installed here. What is left out, and why: `LEFT_OUT`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import traceback
import types
from pathlib import Path
from typing import Any

import distributed.comm
import distributed.compatibility
import distributed.utils
import distributed.utils_test
from distributed.comm import registry

from servent.cluster import comm, lane
from servent.cluster.comm import ServentBackend, ServentConnector
from tests.cluster.desks import Lab, LocalDesk

INSTALLED = Path("/usr/lib/python3/dist-packages/distributed/comm/tests/test_comms.py")
LIMIT = 60.0  # s for one check; they take about one
LEFT_OUT = {
    "test_parse_host_port, test_unparse_host_port, test_get_address_host, test_resolve_address, test_get_local_address_for": "of IP addresses with ports; ours are keys",
    "test_tcp_*, test_tls_*, test_ucx_*, test_inproc_* as such": "each is one of the checks below at another backend's address, or looks at that backend's sockets and certificates",
    "test_default_client_server_*": "of the default scheme",
    "test_tls_reject_certificate": "of TLS certificates: strangers at our door are in test_door",
    "test_comm_failure_threading": "counts threads of tornado's resolver",
    "check_connect_timeout": "holds a wall clock to a second: test_door has it without",
    "test_handshake_slow_comm": "a time limit on the handshake, which distributed has given up since",
    "test_register_backend_entrypoint": "of the registry, not of a backend",
}


def fetch(folder: Path) -> Path | None:
    """Debian's copy of the tests, taken out of its package without installing it; None where it cannot be had."""
    if INSTALLED.is_file():
        return INSTALLED
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    try:
        subprocess.run(
            ["apt-get", "download", "python3-distributed"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=60,
        )
        package = next(folder.glob("python3-distributed*.deb"))
        subprocess.run(
            ["dpkg-deb", "-x", str(package), str(folder)], check=True, capture_output=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError, StopIteration):
        return None
    found = folder / INSTALLED.relative_to("/")
    return found if found.is_file() else None


def load(path: Path) -> Any:
    """The tests as a module. Names that distributed no longer has are given a stand-in, which no check below uses."""
    for module, name in (
        (distributed.comm, "asyncio_tcp"),
        (distributed.compatibility, "to_thread"),
        (distributed.utils, "get_mp_context"),
        (distributed.utils_test, "requires_ipv6"),
    ):
        if not hasattr(module, name):
            setattr(module, name, types.ModuleType(name))
    for name in (
        "get_cert",
        "get_client_ssl_context",
        "get_server_ssl_context",
    ):  # their files are not in the wheel
        setattr(distributed.utils_test, name, lambda *_: None)
    spec = importlib.util.spec_from_file_location("dasks_own_test_comms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def checks(theirs: Any) -> dict[str, Any]:
    """What is run, by its name there."""

    async def pair() -> tuple[Any, Any]:
        found: tuple[Any, Any] = await theirs.get_comm_pair("servent://")
        return found

    async def on_pair(check: Any) -> None:
        await check(*await pair())

    async def unreliable() -> None:
        """`test_retry_connect`, whose connector fails twice before it connects."""
        backend = registry.backends["servent"]
        assert isinstance(backend, ServentBackend)
        failures = 0

        class Unreliable(ServentConnector):
            async def connect(self, *arguments: Any, **named: Any) -> Any:
                nonlocal failures
                failures += 1
                if failures <= 2:
                    raise OSError
                return await super().connect(*arguments, **named)

        class UnreliableBackend(ServentBackend):
            def get_connector(self) -> ServentConnector:
                return Unreliable(self.office)

        registry.backends["servent"] = UnreliableBackend(backend.office)
        try:
            await theirs.check_client_server("servent://")
            assert failures > 2
        finally:
            registry.backends["servent"] = backend

    async def read_error() -> None:
        """`test_comm_closed_on_read_error`."""
        reader, writer = await pair()
        try:
            await asyncio.wait_for(reader.read(), 0.01)
        except TimeoutError:
            assert reader.closed()
        else:
            raise AssertionError("a read that nobody answers came back")
        await reader.close()
        await writer.close()

    at = "servent://"
    return {
        "check_client_server": lambda: theirs.check_client_server(at),
        "check_comm_closed_implicit": lambda: theirs.check_comm_closed_implicit(at),
        "check_comm_closed_explicit": lambda: theirs.check_comm_closed_explicit(at),
        "check_many_listeners": lambda: theirs.check_many_listeners(at),
        "check_deserialize": lambda: theirs.check_deserialize(at),
        "check_deserialize_roundtrip": lambda: theirs.check_deserialize_roundtrip(at),
        "check_deserialize_eoferror": lambda: theirs.check_deserialize_eoferror(at),
        "check_repr": lambda: on_pair(theirs.check_repr),
        "check_addresses": lambda: on_pair(theirs.check_addresses),
        "test_retry_connect": unreliable,
        "test_comm_closed_on_read_error": read_error,
    }


async def run(theirs: Any, *, tcp: bool) -> dict[str, str]:
    """How each went: "passed", or what it said."""
    found = {}
    for name, check in checks(theirs).items():
        backend = comm.set_up(LocalDesk(Lab()), cluster="lab", role="scheduler", tcp=tcp)
        try:
            async with asyncio.timeout(LIMIT):
                await check()
        except Exception:  # noqa: BLE001 - whatever it is, it is the answer
            found[name] = traceback.format_exc()
        else:
            found[name] = "passed"
        finally:
            await backend.office.close()
    return found


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "tcp"
    lane.DIAL_TIME = 60.0  # a slow machine's TCP comms shall be that
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[2]) if len(sys.argv) > 2 else fetch(Path(folder))
        if path is None:
            print(json.dumps({"skipped": "Debian's python3-distributed cannot be had here"}))
            return 0
        found = asyncio.run(run(load(path), tcp=kind == "tcp"))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
