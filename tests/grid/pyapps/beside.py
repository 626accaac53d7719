"""Taken along, since `science` imports it."""


def double(x):
    return 2 * x
