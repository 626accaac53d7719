"""Make .venv and run a target in it. Standard library only.

Works where `python3 -m venv` has no ensurepip (Debian without python3-venv): the environment is
made without pip and filled from outside by `pip --python` (pip >= 22.3). A stamp keyed by the lock
files makes the second run cost nothing.

`install` and `demo` take what servent needs to run, `demo` a C compiler beside it (what it computes is built from source); the others what it takes to work on it, too.

Usage: python3 tools/bootstrap.py install | demo | test | check | bench | sim | develop [arguments passed on]
"""

import hashlib
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
RUNTIME, DEV = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
COMPILER = "ziglang"  # of the extra `apps`; its version and hashes stand in the lock for those who work on it

CHECK = [
    ["-m", "ruff", "check", "."],
    ["-m", "ruff", "format", "--check", "."],
    ["-m", "mypy"],
    ["-c", "from importlinter.cli import lint_imports_command as lint; lint()"],
    ["-m", "pytest", "-q", "-m", "not natlab and not browser and not slow and not real"],
]
TARGETS: dict[str, list[list[str]]] = {
    "install": [],
    "develop": [],
    "demo": [["-m", "servent", "demo"]],
    "check": CHECK,
    "test": [*CHECK[:4], ["-m", "pytest"]],
    "bench": [["-m", "bench"]],
    "sim": [["-m", "simulations"]],
}


def fingerprint(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()


def install(lock: Path) -> None:
    """Bring .venv to what `lock` says, unless it already is."""
    stamp = VENV / f".{lock.stem}.stamp"
    want = fingerprint(lock)
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == want:
        return
    if not PYTHON.exists():
        print(f"making {VENV} …", file=sys.stderr, flush=True)
        venv.EnvBuilder(with_pip=False, symlinks=not WINDOWS).create(VENV)
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "--disable-pip-version-check"]
    print(f"installing what {lock.name} names; this takes a minute or two …", file=sys.stderr, flush=True)
    quiet = ["install", "-q", "--no-warn-script-location"]
    try:
        subprocess.run([*pip, *quiet, "--require-hashes", "-r", str(lock)], check=True)
        backend = [*pip, *quiet, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
        subprocess.run(backend, check=True)
    except FileNotFoundError as missing:
        raise SystemExit(
            f"{missing}: servent's setup needs pip (Debian: apt install python3-pip)"
        ) from missing
    except subprocess.CalledProcessError as failed:
        raise SystemExit(f"pip failed with status {failed.returncode}; its message stands above") from failed
    stamp.write_text(want)


def locked(package: str, lock: Path) -> str:
    """What `lock` says of one package: its version and hashes, as pip reads them."""
    found = re.search(rf"^{re.escape(package)}==(?:[^\n]*\\\n)+[^\n]*\n", lock.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{lock.name} does not name {package}: `make lock` writes it anew")
    return found[0]


def add(package: str) -> None:
    """Bring one more package of the developers' lock into .venv, unless it is there."""
    want = locked(package, DEV)
    stamp = VENV / f".{package}.stamp"
    if stamp.exists() and stamp.read_text() == want:
        return
    print(f"installing {package}; this takes a minute …", file=sys.stderr, flush=True)
    wanted = VENV / f".{package}.txt"
    wanted.write_text(want)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(PYTHON),
        "--disable-pip-version-check",
        "install",
        "-q",
        "--no-deps",
    ]
    try:
        subprocess.run([*pip, "--require-hashes", "-r", str(wanted)], check=True)
    except subprocess.CalledProcessError as failed:
        raise SystemExit(f"pip failed with status {failed.returncode}; its message stands above") from failed
    stamp.write_text(want)


def compiled() -> None:
    """Compile what changed, also where PYTHONDONTWRITEBYTECODE is set: a command, and each process of a test, starts in half the time."""
    subprocess.run([str(PYTHON), "-m", "compileall", "-q", "src", "tests"], cwd=ROOT, check=False)


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this script also runs before anyone checked
        raise SystemExit("servent needs Python 3.11 or newer: `make demo PYTHON=python3.12`, say")
    target, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("install", [])
    if target not in TARGETS:
        print(__doc__, file=sys.stderr)
        return 2
    to_use = target in ("install", "demo") and not (VENV / f".{DEV.stem}.stamp").exists()
    install(RUNTIME if to_use else DEV)
    if target == "demo" and to_use:
        add(COMPILER)
    compiled()
    steps = TARGETS[target]
    for number, step in enumerate(steps):
        extra = rest if number == len(steps) - 1 else []
        status = subprocess.run([str(PYTHON), *step, *extra], cwd=ROOT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
