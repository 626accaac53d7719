"""Side-by-side measurements. `python -m bench.<name> --json` prints one object whose `results` is a list of
{name, value, unit, better: "higher"|"lower", ratio_to: {name: ratio}}. Nothing here is a timed test.
"""
