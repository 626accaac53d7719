"""Starting and stopping: the node, a relay, the page, the demo; shell completion."""

from __future__ import annotations

import time
from pathlib import Path

import click

from servent.cli.base import Session, command, hint, say
from servent.errors import ServentError, UsageError

DOWN_WITHIN = 10.0  # s


@command(
    "up",
    "servent up",
    "servent up --name attic --no-web --api-port 0",
    "servent up --relay https://relay.example --bind 0.0.0.0:4433",
    "servent up --relay-server --relay-port 7443",
    "servent up --mode server",
)
@click.option("--name", help="What others see; also the setting node.name.")
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    help="Of the local API; 0 takes any free one.  [default: 7700]",
)
@click.option("--web/--no-web", "web", default=None, help="Start the page beside the node.")
@click.option("--open/--no-open", "open_page", default=False, help="Open the page in the browser.")
@click.option(
    "--download-dir", type=click.Path(file_okay=False, path_type=Path), help="Where `get` puts things."
)
@click.option(
    "--relay", "relays", multiple=True, metavar="URL", help="Relay to fall back on; may be repeated."
)
@click.option("--no-relay", is_flag=True, help="Use no relay, whatever the settings say.")
@click.option(
    "--mode",
    type=click.Choice(["server", "hybrid", "p2p"]),
    help="What it does for its networks, in this run: server and p2p keep the index wherever the network lets it,"
    " hybrid where it is elected.",
)
@click.option("--relay-server/--no-relay-server", default=None, help="Carry others' packets, too.")
@click.option("--relay-port", type=click.IntRange(0, 65535), help="Where that listens.")
@click.option("--relay-url", metavar="URL", help="How others reach it, if not by this machine's addresses.")
@click.option("--bind", multiple=True, metavar="ADDR", help="ip:port to listen on (UDP); may be repeated.")
@click.option("--bulk-port", type=click.IntRange(0, 65535), help="TCP port of the fast lane; 0 takes any.")
@click.option("--lan/--no-lan", "lan", default=None, help="Find peers on the local network.")
@click.option(
    "--dht/--no-dht", "dht", default=None, help="Find peers, and be found, by key in the Mainline DHT."
)
@click.option("--torrent/--no-torrent", "torrent", default=None, help="Fetch from BitTorrent peers, too.")
@click.option("--verbose", "-v", is_flag=True, help="Show on stderr what else goes to node.log.")
def up(
    session: Session,
    name: str | None,
    api_port: int | None,
    web: bool | None,
    open_page: bool,
    download_dir: Path | None,
    relays: tuple[str, ...],
    no_relay: bool,
    mode: str | None,
    relay_server: bool | None,
    relay_port: int | None,
    relay_url: str | None,
    bind: tuple[str, ...],
    bulk_port: int | None,
    lan: bool | None,
    dht: bool | None,
    torrent: bool | None,
    verbose: bool,
) -> int:
    """Start this machine's node; runs until Ctrl-C or `servent down`.

    Prints who it is and where its page is; the last line begins with `ready` once it is usable.
    """
    from servent.api.daemon import Options, run_daemon

    if no_relay and relays:
        raise UsageError("--relay and --no-relay exclude each other")
    return run_daemon(
        Options(
            data_dir=session.folder,
            api_port=api_port,
            web=web,
            open_page=open_page,
            json=session.json,
            verbose=verbose,
            name=name,
            download_dir=str(download_dir.expanduser().absolute()) if download_dir else None,
            relays=[] if no_relay else list(relays) or None,
            mode=mode,
            relay_server=relay_server,
            relay_port=relay_port,
            relay_url=relay_url,
            bind=list(bind) or None,
            bulk_port=bulk_port,
            lan=lan,
            dht=dht,
            torrent=torrent,
        )
    )


class StillUp(ServentError):
    """It was asked to stop, and did not."""


@command("down", "servent down")
def down(session: Session) -> None:
    """Stop the node."""
    from servent.api.lock import is_held

    client = session.client()
    client.shutdown()
    began = time.monotonic()
    while time.monotonic() - began < DOWN_WITHIN:
        if not is_held(session.folder):  # its process let go of everything: the next one may start
            session.show({"stopped": True}, lambda: say("stopped"))
            return
        time.sleep(0.02)
    raise StillUp(
        f"it did not stop in {DOWN_WITHIN:.0f} s", advice="node.log in the data directory says why."
    )


@command("open", "servent open", "servent open --print")
@click.option("--print", "only_print", is_flag=True, help="Print the address instead; it opens once.")
def open_page(session: Session, only_print: bool) -> None:
    """Open the page in the browser."""
    client = session.client()
    if client.status().web_url is None:
        raise UsageError(
            "this node runs without its page", advice="Stop it, then start it with `servent up --web`."
        )
    link = client.login_link()
    session.show(link, lambda: say(link.url if only_print else "opening the page"))
    if not only_print and not session.json:
        import webbrowser

        if not webbrowser.open(link.url):
            hint(f"No browser was found. Open this address, once: {link.url}")


@command(
    "relay",
    "servent relay",
    "servent relay --port 443 --url https://relay.example --certificate fullchain.pem --key privkey.pem",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="ADDR",
    help="Address to listen on; may be repeated.  [default: all]",
)
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 takes any free one.")
@click.option(
    "--url", "urls", multiple=True, metavar="URL", help="How clients reach it, if not by these addresses."
)
@click.option(
    "--certificate", type=click.Path(dir_okay=False, path_type=Path), help="PEM file; then it speaks https."
)
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Its private key, PEM.")
@click.option("--clients", type=click.IntRange(1, 1_000_000), help="Most clients at once.")
@click.option("--rate", metavar="RATE", help="What one client may send: 25MB/s, off.")
def relay(
    session: Session,
    hosts: tuple[str, ...],
    port: int | None,
    urls: tuple[str, ...],
    certificate: Path | None,
    key: Path | None,
    clients: int | None,
    rate: str | None,
) -> int:
    """Run a relay server, and nothing else.

    It carries the packets of peers that find no direct path, and cannot read them. Give its address
    to nodes: `servent up --relay URL`.
    """
    from servent.api.relayonly import RelayOptions, run_relay
    from servent.cli.text import parse_rate

    return run_relay(
        RelayOptions(
            hosts=list(hosts) or None,
            port=port,
            urls=list(urls),
            certificate=str(certificate) if certificate else None,
            key=str(key) if key else None,
            clients=clients,
            rate_bytes_per_s=parse_rate(rate) if rate else None,
            unlimited=rate is not None and parse_rate(rate) is None,
            json=session.json,
        )
    )


@command("demo", "servent demo", "servent demo --exit")
@click.option("--exit", "exit_after", is_flag=True, help="End when the story is told, for scripts.")
@click.option("--web/--no-web", default=True, help="Start the page beside the first node.")
def demo(session: Session, exit_after: bool, web: bool) -> int:
    """Five nodes on this machine do the main job, and you may watch."""
    from servent.demo.main import run

    code = run(exit_after=exit_after, web=web)
    if session.json:
        session.show({"passed": code == 0}, lambda: None)
    return code


@command(
    "completion",
    "servent completion bash >> ~/.bashrc",
    "servent completion zsh > ~/.zfunc/_servent",
    "servent completion fish > ~/.config/fish/completions/servent.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(session: Session, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    from servent.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    source = kind(cli, {}, "servent", "_SERVENT_COMPLETE").source()
    session.show({"shell": shell, "script": source}, lambda: say(source))


@command("openapi", "servent openapi > servent.json")
def openapi(session: Session) -> None:
    """Print the local API's description, for programs that make clients.

    OpenAPI 3.1. The node need not be running.
    """
    import servent
    from servent.api import routing
    from servent.api.server import COLLECTIONS
    from servent.cli.base import print_json

    print_json(routing.openapi(COLLECTIONS, servent.__version__))
