"""Every message of codes, meetings, wishes and reports stands in the protocol's document, with its fields."""

import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from servent.share import codes_wire, safety_wire, wishes_wire

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
SECTIONS = {
    codes_wire: ("### 9.6", "### 9.8"),
    wishes_wire: ("### 9.8", "### 9.9"),
    safety_wire: ("### 9.9", r"\Z"),
}
MESSAGES = [
    (module, struct)
    for module in SECTIONS
    for struct in vars(module).values()
    if isinstance(struct, type)
    and issubclass(struct, msgspec.Struct)
    and struct.__module__ == module.__name__
]


@pytest.mark.parametrize(("module", "struct"), MESSAGES, ids=lambda one: getattr(one, "__name__", ""))
def test_every_message_is_documented(module: ModuleType, struct: type[msgspec.Struct]) -> None:
    begin, end = SECTIONS[module]
    (section,) = re.findall(rf"{re.escape(begin)}.*?(?={end})", TEXT, re.DOTALL)
    tag = struct.__struct_config__.tag
    (row,) = [line for line in section.splitlines() if re.match(rf"\| [^|]*\| `{tag}` \|", line)] or [""]
    assert row, f"`{tag}` has no row"
    for field in struct.__struct_fields__:
        assert f"`{field}`" in row, f"`{tag}` does not tell of `{field}`"
