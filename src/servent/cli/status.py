"""`servent status`: imports as little as can be, since people and scripts ask often."""

from __future__ import annotations

from servent.cli.base import Session, command, say
from servent.cli.people import one_line
from servent.cli.text import duration, many, rate, size


@command("status", "servent status", "servent status --json")
def status(session: Session) -> None:
    """One glance at the node."""
    client = session.client()
    now = client.status()

    def people() -> None:
        say(f"{now.name} {now.short_id}, servent {now.version}, up {duration(now.uptime)}")
        say(f"reach      {now.reach.summary}")
        for remedy in now.reach.remedies:
            say(f"           {remedy}")
        say(f"peers      {now.peers.total} connected: {now.peers.direct} direct, {now.peers.relayed} relayed")
        say(
            f"transfers  {now.transfers.active} active, {now.transfers.waiting} waiting, {now.transfers.done} done"
            f"; down {rate(now.down_bytes_per_s)}, up {rate(now.up_bytes_per_s)}"
        )
        shared = client.folders()
        files, size_bytes = sum(one.files for one in shared), sum(one.size_bytes for one in shared)
        names = ", ".join(one.name for one in shared)
        say(
            f"shared     {names}: {files} file{'' if files == 1 else 's'}, {size(size_bytes)}"
            if shared
            else "shared     nothing; `servent library add FOLDER` shares one"
        )
        new = client.talk_sums()
        facts = (
            f"{new.unread} unread" + (f", {new.mentions} of them to you" if new.mentions else "")
            if new.unread
            else "",
            f"{many(new.asking, 'question')} of would-be friends" if new.asking else "",
            many(new.invitations, "invitation") if new.invitations else "",
        )
        say(f"talk       {'; '.join(filter(None, facts)) or 'nothing new'}")
        lent, mine = client.lending(), [one for one in client.my_projects() if not one.closed]
        words = f"{lent.state}: {one_line(lent.why)}" if lent.on else "this machine is not lent"
        say(f"computing  {words}" + (f"; {many(len(mine), 'project')} of yours" if mine else ""))
        say(f"networks   {', '.join(now.networks) or 'none'}")
        say(f"downloads  {now.download_dir}")
        say(f"data       {now.data_dir} ({size(now.memory_bytes)} of memory in use)")
        say(
            f"page       {now.web_url or 'off'}; `servent open` opens it" if now.web_url else "page       off"
        )

    session.show(now, people)
