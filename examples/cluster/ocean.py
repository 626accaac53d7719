"""A year of sea-surface temperatures, a file for each month, computed where the files lie.

    python examples/cluster/ocean.py make ~/ocean          # twelve arrays, and links.txt
    python examples/cluster/ocean.py run ~/ocean/links.txt --cluster lab

`make` shares each month with servent; friends fetch what they like (`servent get LINK`). `run` asks which machines of the cluster have which month,
gives each month's task to one of those, and joins the parts. A month that no machine has yet is fetched by the node of whichever machine gets the task.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from distributed import Client as Dask

from servent.api import dask_backend
from servent.api.client import Client
from servent.api.cluster_data import held, holders, local

LATITUDES, LONGITUDES = 90, 180  # two degrees
EDGES = np.linspace(-2.0, 34.0, 37)


def month(number: int, days: int) -> np.ndarray:
    """By the hour: degrees Celsius, [hour, latitude, longitude]: warm at the equator, a season, days, and weather."""
    dice = np.random.default_rng(number)
    latitude = np.radians(np.linspace(-89, 89, LATITUDES))[None, :, None]
    season = 4 * np.sin(2 * np.pi * (number - 4) / 12) * np.sign(latitude) * np.abs(np.sin(latitude))
    hours = np.arange(days * 24)[:, None, None]
    mean = 28 * np.cos(latitude) ** 2 - 1 + season + 0.4 * np.sin(2 * np.pi * hours / 24)
    return (mean + dice.normal(0, 0.8, (days * 24, LATITUDES, LONGITUDES))).astype(np.float32)


def part(link: str) -> tuple[float, int, np.ndarray, np.ndarray, bool]:
    """On a worker: sum, count, histogram and map of means of one month, and whether it lay there already."""
    here = link in held([link])
    data = np.load(local(link), mmap_mode="r")
    counts, _ = np.histogram(data, EDGES)
    return float(data.sum(dtype=np.float64)), data.size, counts, data.mean(axis=0, dtype=np.float64), here


def join(
    parts: list[tuple[float, int, np.ndarray, np.ndarray, bool]],
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean of the year, its histogram, and its map."""
    total, count = sum(one[0] for one in parts), sum(one[1] for one in parts)
    return total / count, sum(one[2] for one in parts), sum(one[3] for one in parts) / len(parts)


def make(folder: Path, client: Client, months: int, days: int) -> list[str]:
    """Write and share the months. Their links, also in `links.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    links = []
    for number in range(1, months + 1):
        path = folder / f"month-{number:02d}.npy"
        np.save(path, month(number, days))
        links.append(client.add_share(str(path), wait=True).link)
    (folder / "links.txt").write_text("\n".join(links) + "\n")
    return links


def run(links: list[str], dask: Dask) -> tuple[float, np.ndarray, np.ndarray, int]:
    """Mean, histogram, map, and how many months were computed where they lay."""
    near = holders(dask, links)
    tasks = [
        dask.submit(part, link, workers=near[link] or None, allow_other_workers=bool(near[link]), pure=False)
        for link in links
    ]
    parts = dask.gather(tasks)
    mean, counts, means = dask.submit(join, parts).result()
    return mean, counts, means, sum(one[4] for one in parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "run"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--cluster", default="lab")
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--days", type=int, default=28, help="of a month; 1.5 MB each")
    parser.add_argument(
        "--data-dir", type=Path, default=None, help="of the node; for a second one on this machine"
    )
    given = parser.parse_args()
    if given.what == "make":
        links = make(given.path.expanduser(), Client.from_data_dir(given.data_dir), given.months, given.days)
        print(f"{len(links)} months shared; their links are in {given.path / 'links.txt'}")
        return
    if given.data_dir is not None:
        dask_backend.use(given.data_dir)
    links = given.path.expanduser().read_text().split()
    with Dask(f"servent://{given.cluster}") as dask:
        mean, counts, means, near = run(links, dask)
    print(f"{len(links)} months, {near} of them computed where they lay")
    print(f"mean {mean:.3f} °C, warmest cell {means.max():.2f}, coldest {means.min():.2f}")
    top = counts.max()
    for low, count in zip(EDGES[:-1], counts, strict=True):
        print(f"{low:5.0f} °C {'█' * round(50 * count / top)}")


if __name__ == "__main__":
    main()
