"""Dask among friends: clusters of one's own, those that others let this node take part in, and who may do what there."""

from __future__ import annotations

from servent.api import schema
from servent.api import schema_cluster as pool
from servent.api.context import Context
from servent.api.routing import Routes

routes = Routes("cluster")

TROUBLE = (400, 403, 404, 409, 502, 503, 504, 507)  # what may stand in the way of whatever changes something


@routes.add("GET", "/grid/clusters", scope="read")
async def clusters(ctx: Context) -> list[pool.Cluster]:
    """Every cluster that this node keeps or is a member of."""
    return ctx.node.clusters()


@routes.add("POST", "/grid/clusters", problems=TROUBLE)
async def create_cluster(ctx: Context, body: pool.NewCluster) -> pool.Cluster:
    """Make a cluster; its scheduler starts on this machine."""
    return await ctx.node.create_cluster(body)


@routes.add("POST", "/grid/clusters/join", problems=TROUBLE)
async def join_cluster(ctx: Context, body: pool.JoinCluster) -> pool.Cluster:
    """Take part in somebody's cluster, whose owner has put this node on its list."""
    return await ctx.node.join_cluster(body)


@routes.add("POST", "/grid/clusters/papers", problems=TROUBLE)
async def cluster_papers(ctx: Context, body: pool.PapersWish) -> pool.ClusterPapers:
    """Vouch for a process of this machine that wants to submit work, for a quarter of an hour; the comm backend `servent://` asks it."""
    return await ctx.node.cluster_papers(body)


@routes.add("GET", "/grid/clusters/doors", scope="admin")
async def cluster_doors(ctx: Context) -> dict[str, str]:
    """For the page's process: what the paths of dashboards begin with, which is all that lets in there, and the sockets at which they answer."""
    return ctx.node.cluster_doors()


@routes.add("GET", "/grid/clusters/{name}", scope="read", problems=(400, 404))
async def one_cluster(ctx: Context, name: str) -> pool.Cluster:
    """One cluster, with what its scheduler does now."""
    return ctx.node.one_cluster(name)


@routes.add("PATCH", "/grid/clusters/{name}", problems=TROUBLE)
async def change_cluster(ctx: Context, name: str, body: pool.ClusterChange) -> pool.Cluster:
    """Start or end its scheduler, where it is this node's own; whether this machine works in it, and how much."""
    return await ctx.node.change_cluster(name, body)


@routes.add("DELETE", "/grid/clusters/{name}", problems=TROUBLE)
async def remove_cluster(ctx: Context, name: str) -> schema.Done:
    """Leave a cluster; one of this node's own is gone for everybody."""
    await ctx.node.remove_cluster(name)
    return schema.Done()


@routes.add("PUT", "/grid/clusters/{name}/members/{node}", problems=TROUBLE)
async def change_member(
    ctx: Context,
    name: str,
    node: str,
    body: pool.MemberChange = pool.MemberChange(),  # noqa: B008
) -> pool.Cluster:
    """Put a node on the list of a cluster of one's own, or change what it may do and its groups."""
    return await ctx.node.change_member(name, node, body)


@routes.add("DELETE", "/grid/clusters/{name}/members/{node}", problems=TROUBLE)
async def drop_member(ctx: Context, name: str, node: str) -> pool.Cluster:
    """Take a node off the list; its processes are sent away within seconds."""
    return await ctx.node.drop_member(name, node)


@routes.add("PUT", "/grid/clusters/{name}/groups/{group}", problems=TROUBLE)
async def change_group(
    ctx: Context,
    name: str,
    group: str,
    body: pool.GroupChange = pool.GroupChange(),  # noqa: B008
) -> pool.Cluster:
    """Make a group of machines, or give it other hours."""
    return await ctx.node.change_group(name, group, body)


@routes.add("DELETE", "/grid/clusters/{name}/groups/{group}", problems=TROUBLE)
async def drop_group(ctx: Context, name: str, group: str) -> pool.Cluster:
    """End a group; its machines stay members."""
    return await ctx.node.drop_group(name, group)


@routes.add("GET", "/grid/clusters/{name}/log", problems=(400, 404))
async def cluster_log(ctx: Context, name: str, query: pool.ClusterLogQuery) -> pool.ClusterLog:
    """What a process of this machine wrote last. Tasks print what they like, so this is for `control`."""
    return await ctx.node.cluster_log(name, query)


@routes.add("POST", "/grid/clusters/{name}/dashboard", problems=(400, 404))
async def cluster_dashboard(ctx: Context, name: str) -> pool.DashboardDoor:
    """Where Dask's own pages are, below the page's address."""
    _, prefix = ctx.node.cluster_door(name)
    return pool.DashboardDoor(path=f"{prefix}status")
