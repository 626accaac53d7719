"""Write requirements.txt and requirements-dev.txt: every dependency pinned with hashes (uses `uv`).

Usage: python3 tools/lock.py    (needs `uv` on PATH or in .venv; run it when pyproject.toml changes)
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    uv = shutil.which("uv") or str(ROOT / ".venv/bin/uv")
    common = [
        uv,
        "pip",
        "compile",
        "--generate-hashes",
        "--universal",
        "--python-version",
        "3.11",
        "--quiet",
        "--no-emit-index-url",
        "--no-header",
        "pyproject.toml",
    ]
    extra = ROOT / "tools/build-requirements.in"
    subprocess.run([*common, str(extra), "-o", "requirements.txt"], cwd=ROOT, check=True)
    subprocess.run(
        [*common, str(extra), "--group", "dev", "-o", "requirements-dev.txt"], cwd=ROOT, check=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
