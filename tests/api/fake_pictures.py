"""What a core of the fake node shows: power over frequency and time, noise and two tones in it, another picture with each second."""

from __future__ import annotations

import math
import random

from servent.api import schema_pictures as pictures

COLUMNS, ROWS, HALF, SECONDS = 256, 64, 4882.8125, 107.374
HIGH = 34.0


def picture(serial: int) -> pictures.Picture:
    dice, drift = random.Random(serial), -4.2 + serial * 0.0074
    cells = [math.log(64) - math.log(-math.log(dice.random() or 0.5)) for _ in range(ROWS * COLUMNS)]
    for row in range(ROWS):
        time = (row + 0.5) / ROWS
        for centre, lean, height in (
            (170.5, 1.5, 25.0),
            (84.0, -8.0, 31.0 * math.exp(-(((time - 0.56) / 0.11) ** 2))),
        ):
            at = round(centre + lean * (time - 0.5))
            cells[row * COLUMNS + at] = max(cells[row * COLUMNS + at], height * dice.uniform(0.8, 1.05))
    data = bytes(min(255, round(cell / HIGH * 255)) for cell in cells)
    return pictures.Picture(
        kind="heat",
        width=COLUMNS,
        height=ROWS,
        words=f"drift {drift:.4f} Hz/s, spectra of 16384 samples, strongest so far 31.2 times the noise",
        x=pictures.Axis(label="frequency, Hz", low=-HALF, high=HALF),
        y=pictures.Axis(label="time, s", low=0.0, high=SECONDS),
        z=pictures.Axis(label="power; noise is 1", low=0.0, high=HIGH),
        data=data,
    )
