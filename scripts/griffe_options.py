"""For the API reference: functions that are called with options show them; see `paragon_stream.options`."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import is_dataclass
from typing import Any

import griffe

from paragon_stream.options.option import options_of


class ShownOptions(griffe.Extension):
    """Puts in the place of a function's one parameter what `inspect` sees, and its docstring with it."""

    def on_function(self, *, func: griffe.Function, **kwargs: Any) -> None:
        names = {decorator.callable_path.rpartition(".")[2] for decorator in func.decorators}
        if names & {"called_with", "initialised_with"}:
            found = _find(func.path)
            func.parameters = _parameters(found)
            if func.docstring is not None:
                func.docstring.value = inspect.cleandoc(found.__doc__)

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        found = _find(cls.path)
        if is_dataclass(found) and isinstance(found, type) and options_of(found):
            made = griffe.Function("__init__", parameters=_parameters(found), returns="None")
            cls.set_member("__init__", made)
            lines = [f"    {name}: {each.help}" for name, each in options_of(found).items()]
            made.docstring = griffe.Docstring("\n".join(["Args:", *lines]), parent=made)


def _find(path: str) -> Any:
    """The object of the dotted name."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        try:
            for name in parts[count:]:
                found = getattr(found, name)
        except (AttributeError, ImportError):  # also of modules whose package is not installed (torch)
            return None
        return found
    return None


def _parameters(found: Any) -> griffe.Parameters:
    made = []
    for each in inspect.signature(found).parameters.values():
        made.append(
            griffe.Parameter(
                each.name,
                annotation=None if each.annotation is each.empty else str(each.annotation),
                kind=griffe.ParameterKind(each.kind.description),
                default=None if each.default is each.empty else repr(each.default),
            )
        )
    return griffe.Parameters(*made)
