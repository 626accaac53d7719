"""Dask among friends: a scheduler and workers on the machines of people who trust each other, over servent."""
