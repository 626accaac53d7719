"""The house keeps its own rules: sizes, exports, packages, and documents that tell the truth."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import servent

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "servent").rglob("*.py"))
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
MOST_LINES = 500  # "100 to 400 lines a module; near 500 look for the seam"


def test_no_module_outgrows_its_room() -> None:
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in SOURCES}
    assert not {str(path): count for path, count in lines.items() if count > MOST_LINES}


def test_every_module_opens_with_what_it_owns() -> None:
    silent = [
        path.relative_to(ROOT) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, "no docstring"


def test_package_inits_hold_a_docstring_and_nothing_else() -> None:
    for path in SOURCES:
        here = path.parent.relative_to(ROOT / "src").as_posix()
        if path.name == "__init__.py" and here not in (
            "servent",
            "servent/grid",
        ):  # `servent.grid.app` is public
            body = ast.parse(path.read_text()).body
            assert len(body) == 1, f"{path} does more than describe its room"


def test_every_public_name_exists_and_is_listed_once() -> None:
    assert sorted(servent.__all__) == sorted(set(servent.__all__))
    for name in servent.__all__:
        assert getattr(servent, name) is not None
    assert set(servent._WHERE) | {"__version__"} == set(servent.__all__)


def test_importing_servent_imports_nothing_heavy() -> None:
    code = "import sys, servent; print([m for m in ('iroh', 'asyncio', 'fastapi', 'nicegui', 'rich') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_the_version_is_the_projects() -> None:
    assert f'version = "{servent.__version__}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_setting_stands_in_the_documents() -> None:
    from servent import config

    text = "\n".join(path.read_text() for path in DOCS)
    missing = [key for key, _ in config.walk(config.Config()) if key not in text]
    assert not missing, f"not documented: {missing}"


def test_the_lock_files_hold_every_dependency_with_hashes() -> None:
    import tomllib

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for lock in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / lock).read_text()
        for need in wanted:
            name = re.split(r"[<>=\[; ]", need)[0].lower()
            assert re.search(rf"^{re.escape(name)}(\[[\w,-]+\])?==", text, re.MULTILINE), (
                f"{name} is not in {lock}"
            )
        assert text.count("==") <= text.count("--hash=sha256:")


def test_the_project_speaks_of_itself_alone() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    for name in tracked.splitlines():
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".js", ".css", ".sh"}
            and path.exists()
            and path != Path(__file__)
        ):
            assert "/tmp/" not in path.read_text() or name.startswith(("tests/", "docs/")), name
