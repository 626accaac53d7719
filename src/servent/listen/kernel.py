"""Where the kernel's source lies, and what a unit takes in the sandbox. Pure."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).with_name("listen.c")  # ABI "slice", without a C library
MEMORY_BYTES = 96 * 1024**2  # it has 45 MiB
OUTPUT_BYTES = 32 * 1024  # 132 signals of 144 bytes, and their head
CHECKPOINT_BYTES = 1024**2  # the unit and what was found; scratch is zero between slices
