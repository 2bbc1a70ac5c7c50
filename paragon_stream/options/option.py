"""The definition of an option: one field of a frozen dataclass, from which everything else is made.

    @dataclass(frozen=True, kw_only=True)
    class Options:
        scale: int | None = option(None, "Factor of the network (default 2).", metavar="N")

`called_with(Options)` turns a function of one `Options` into a function of its fields as keywords. Type
checkers and editors see the fields (through the dataclass's constructor); `help()` shows names, types,
defaults and help texts. The command line makes its options from `options_of`. So a new option is one new
field.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Concatenate, Protocol

_KEY = "option"
_NUMBERS: dict[str, tuple[str, type]] = {
    "int": ("a whole number", Integral),
    "float": ("a number", Real),
    "bool": ("True or False", Integral),  # scripts of VapourSynth have 0 and 1 for these
}
"""Types of arguments that are checked, by their text: "2" or "no" would mean something else further on."""


class Options(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option. `help` is one sentence; `type` is the text of its annotation."""

    name: str
    type: str
    default: Any
    help: str
    metavar: str = ""
    flag: str = ""
    """The name on the command line if it differs from the field's name: "-x"."""
    none: tuple[str, str] = ("", "")
    """A flag of the command line that sets False (or "none" for a list), and its help."""

    @property
    def kind(self) -> Callable[[str], Any]:
        """The function that parses a value from text."""
        for kind in (int, float):
            if self.type in (kind.__name__, f"{kind.__name__} | None"):
                return kind
        if self.type == "bool":
            return _truth
        return str


def option[T](
    default: T, help: str, *, metavar: str = "", flag: str = "", none: tuple[str, str] = ("", "")
) -> T:
    """The field of an option; see `Option`. For type checkers, it is the default value."""
    facts = {"help": help, "metavar": metavar, "flag": flag, "none": none}
    found: T = field(default=default, metadata={_KEY: facts})
    return found


def described(help: str) -> dict[str, Any]:
    """The `metadata` of a field that is an argument and not an option."""
    return {_KEY: {"help": help}}  # without metavar and flag: commands define their own arguments


def options_of(kind: type[Options]) -> dict[str, Option]:
    """The options of `kind` by name, in order of definition."""
    return {
        each.name: Option(
            name=each.name,
            type=str(each.type),
            default=None if each.default is MISSING else each.default,
            **each.metadata[_KEY],
        )
        for each in fields(kind)
        if _KEY in each.metadata
    }


def part[T: Options](options: Options, kind: type[T]) -> T:
    """An instance of `kind` with the values of `options`, which has at least the fields of `kind`."""
    return kind(**{each.name: getattr(options, each.name) for each in fields(kind)})


def called_with[**P, Kind, Result](
    kind: Callable[P, Kind],
) -> Callable[[Callable[[Kind], Result]], Callable[P, Result]]:
    """Turn a function of one dataclass into a function of its fields."""

    def wrap(function: Callable[[Kind], Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            return function(_made(function.__name__, kind, *args, **kwargs))

        _show(call, function, kind)
        return call

    return wrap


def initialised_with[**P, Kind, Self](
    kind: Callable[P, Kind],
) -> Callable[[Callable[[Self, Kind], None]], Callable[Concatenate[Self, P], None]]:
    """`called_with` for `__init__`."""

    def wrap(function: Callable[[Self, Kind], None]) -> Callable[Concatenate[Self, P], None]:
        @functools.wraps(function)
        def call(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> None:
            function(self, _made(type(self).__name__, kind, *args, **kwargs))

        _show(call, function, kind, inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY))
        return call

    return wrap


def _made[**P, Kind](name: str, kind: Callable[P, Kind], *args: P.args, **kwargs: P.kwargs) -> Kind:
    """`kind(*args, **kwargs)`. Raises TypeError for wrong arguments, in the name of the function `name`."""
    signature = inspect.signature(kind)
    try:
        arguments = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None
    for argument, value in arguments.items():
        wanted = _NUMBERS.get(str(signature.parameters[argument].annotation).removesuffix(" | None"))
        if wanted is not None and value is not None and not isinstance(value, wanted[1]):
            raise TypeError(f"{name}(): {argument} takes {wanted[0]}, not {value!r}")
    return kind(*args, **kwargs)


def _show(call: Any, function: Any, kind: Any, *first: inspect.Parameter) -> None:
    """Give `call` the signature, the annotations and the argument descriptions of `kind`."""
    parameters = [*first, *inspect.signature(kind).parameters.values()]
    result = inspect.signature(function).return_annotation
    call.__signature__ = inspect.Signature(parameters, return_annotation=result)
    call.__annotations__ = {
        each.name: each.annotation for each in parameters if each.annotation is not each.empty
    } | {"return": result}
    lines = [f"    {name}: {each.help}" for name, each in options_of(kind).items()]
    call.__doc__ = "\n".join([inspect.cleandoc(function.__doc__ or ""), "", "Args:", *lines])


def _truth(text: str) -> bool:
    if text.lower() not in ("0", "1", "no", "yes", "false", "true"):
        raise ValueError(text)
    return text.lower() in ("1", "yes", "true")
