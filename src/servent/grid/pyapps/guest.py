"""Runs inside of a Python app, in the sandbox: reads the input, calls the function, says what came of it. Not part of the node; `build` packs it.

Beside it lie `marks` and `servent_unit`, which the builder writes: the source, its name and the function. All that the app needs is imported
when it is built; a unit begins from a picture of that moment.
"""

import contextlib
import gc
import importlib
import linecache
import sys
import types

import servent_marks
import servent_unit
import wit_world
from componentize_py_types import Err

LATE = "_strptime encodings.ascii encodings.cp1252 encodings.cp437 encodings.idna encodings.latin_1 encodings.utf_16 encodings.utf_8_sig"
MOST_WORDS = 900  # characters; what a node keeps of them


def _loaded() -> types.ModuleType:
    """The person's own source, as a module, with its lines at hand for tracebacks: there are no files later."""
    for name in [
        *LATE.split(),
        *servent_unit.IMPORTS,
    ]:  # what Python, or the app, imports only when it needs it
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    module = types.ModuleType(servent_unit.MODULE)
    module.__file__ = servent_unit.FILE
    sys.modules[servent_unit.MODULE] = module
    text = servent_unit.SOURCE
    linecache.cache[servent_unit.FILE] = (len(text), None, text.splitlines(True), servent_unit.FILE)
    exec(compile(text, servent_unit.FILE, "exec"), module.__dict__)  # noqa: S102 - it is what this is for
    return module


_function = getattr(_loaded(), servent_unit.FUNCTION)
servent_marks.kinds(_function)
gc.collect()
gc.freeze()


class WitWorld(wit_world.WitWorld):
    """What the node calls."""

    def run(self, input: str, args: list[str]) -> str:
        """Bytes come and go as text of the characters 0 to 255."""
        try:
            return servent_marks.called(_function, input.encode("latin-1"), args).decode("latin-1")
        except BaseException as wrong:  # noqa: BLE001 - it is told, with where it happened
            raise Err(_said(wrong)) from None
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()


def _said(wrong: BaseException) -> str:
    """The traceback on one line: the error, then the calls that led to it, the last one first."""
    words = f"{type(wrong).__name__}: {wrong}" if str(wrong) else type(wrong).__name__
    calls, step = [], wrong.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename not in (__file__, servent_marks.__file__):
            line = linecache.getline(code.co_filename, step.tb_lineno).strip()
            place = f"{code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno} in {code.co_name}"
            calls.append(f"{place}: {line}" if line else place)
        step = step.tb_next
    if len(calls) > 6:
        calls = [*calls[:1], f"… {len(calls) - 5} calls …", *calls[-4:]]
    because = wrong.__cause__ or (None if wrong.__suppress_context__ else wrong.__context__)
    if because is not None:
        words += f" (after {type(because).__name__}: {because})"
    return " < ".join([words[: MOST_WORDS // 2], *reversed(calls)])[:MOST_WORDS]
