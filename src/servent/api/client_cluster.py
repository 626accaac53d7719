"""The client's part that is about Dask among friends: one method for each of `face_cluster`, mostly under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from servent.api import schema
from servent.api.client_http import Http, Later, part

if TYPE_CHECKING:
    from servent.api import schema_cluster as pool
else:
    pool = Later("servent.api.schema_cluster")

MEETING = 60.0  # s for what waits for the owner's word


class ClusterClient(Http):
    """Raises as `Client` does. `name`: a cluster's, see `schema_cluster`."""

    def clusters(self) -> list[pool.Cluster]:
        return self._get("/grid/clusters", list[pool.Cluster])

    def one_cluster(self, name: str) -> pool.Cluster:
        return self._get(f"/grid/clusters/{part(name)}", pool.Cluster)

    def create_cluster(self, new: pool.NewCluster) -> pool.Cluster:
        return self._send("POST", "/grid/clusters", pool.Cluster, new)

    def join_cluster(self, request: pool.JoinCluster) -> pool.Cluster:
        return self._send(
            "POST", "/grid/clusters/join", pool.Cluster, request, timeout=max(MEETING, self.timeout)
        )

    def change_cluster(self, name: str, change: pool.ClusterChange) -> pool.Cluster:
        return self._send("PATCH", f"/grid/clusters/{part(name)}", pool.Cluster, change)

    def remove_cluster(self, name: str) -> None:
        self._send("DELETE", f"/grid/clusters/{part(name)}", schema.Done)

    def change_member(self, name: str, node: str, change: pool.MemberChange) -> pool.Cluster:
        return self._send("PUT", f"/grid/clusters/{part(name)}/members/{part(node)}", pool.Cluster, change)

    def drop_member(self, name: str, node: str) -> pool.Cluster:
        return self._send("DELETE", f"/grid/clusters/{part(name)}/members/{part(node)}", pool.Cluster)

    def change_group(self, name: str, group: str, hours: list[str]) -> pool.Cluster:
        wish = pool.GroupChange(hours=hours)
        return self._send("PUT", f"/grid/clusters/{part(name)}/groups/{part(group)}", pool.Cluster, wish)

    def drop_group(self, name: str, group: str) -> pool.Cluster:
        return self._send("DELETE", f"/grid/clusters/{part(name)}/groups/{part(group)}", pool.Cluster)

    def cluster_log(self, name: str, process: str = "scheduler", lines: int = 200) -> pool.ClusterLog:
        asked = urlencode({"process": process, "lines": lines})
        return self._get(f"/grid/clusters/{part(name)}/log?{asked}", pool.ClusterLog)

    def cluster_dashboard(self, name: str) -> pool.DashboardDoor:
        return self._send("POST", f"/grid/clusters/{part(name)}/dashboard", pool.DashboardDoor)

    def cluster_doors(self) -> dict[str, str]:
        return self._get("/grid/clusters/doors", dict[str, str])

    def cluster_papers(self, wish: pool.PapersWish) -> pool.ClusterPapers:
        return self._send("POST", "/grid/clusters/papers", pool.ClusterPapers, wish)
