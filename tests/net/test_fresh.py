import asyncio
import contextlib
import sys

import pytest

from servent.net.fresh import break_relay_links

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process its sockets")


def test_only_connections_to_the_relay_are_broken() -> None:
    async def main() -> None:
        async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        relay = await asyncio.start_server(idle, "127.0.0.1", 0)
        other = await asyncio.start_server(idle, "127.0.0.1", 0)
        async with relay, other:
            port, other_port = relay.sockets[0].getsockname()[1], other.sockets[0].getsockname()[1]
            to_relay, relay_writer = await asyncio.open_connection("127.0.0.1", port)
            to_other, other_writer = await asyncio.open_connection("127.0.0.1", other_port)
            assert break_relay_links([f"http://127.0.0.1:{port}", "nonsense", "http://[::1]:1"]) == 1
            assert await to_relay.read() == b""
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await to_other.read()
            assert break_relay_links([f"http://relay.example:{other_port}/"]) == 1
            assert await to_other.read() == b""
            for writer in (relay_writer, other_writer):
                writer.close()
            for writer in (relay_writer, other_writer):
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    asyncio.run(main())
