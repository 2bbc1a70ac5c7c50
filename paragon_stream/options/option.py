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
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from numbers import Integral, Real
from typing import Any, ClassVar, Concatenate, Protocol

_KEY = "option"


class Kind(Enum):
    """The kind of an option's values, which decides how they are parsed and checked. The value is its name in
    messages."""

    SWITCH = "true or false"
    WHOLE = "a whole number"
    NUMBER = "a number"
    QUANTITY = "a text or a number"
    """For example a time or a bit rate, which the function itself parses."""
    TEXT = "a text"
    LIST = "a list of texts"
    TRACKS = "a list of numbers and languages"
    PAIRS = "a table"

    @classmethod
    def of(cls, annotation: str) -> Kind:
        """The kind that the annotation of a field stands for; None is allowed for every kind."""
        plain = annotation.removesuffix(" | None")
        if plain in _NAMED:
            return _NAMED[plain]
        if plain.startswith("Mapping"):
            return cls.PAIRS
        if plain.startswith("Sequence"):
            return cls.LIST
        return cls.QUANTITY if {"int", "float"} & set(plain.split(" | ")) else cls.TEXT


_NAMED = {
    "bool": Kind.SWITCH,
    "int": Kind.WHOLE,
    "float": Kind.NUMBER,
    "TimeLike": Kind.QUANTITY,
    "TrackList": Kind.TRACKS,
}
_CHECKED: dict[Kind, tuple[type, ...]] = {
    Kind.SWITCH: (Integral,),
    Kind.WHOLE: (Integral,),
    Kind.NUMBER: (Real,),
    Kind.QUANTITY: (str, Real),
    Kind.TEXT: (str, os.PathLike),
    Kind.LIST: (Sequence,),
    Kind.TRACKS: (str, Integral, Sequence),
    Kind.PAIRS: (Mapping,),
}
"""The types of each kind: "2" or "no" would mean something else further on. Scripts of VapourSynth have 0 and
1 for False and True."""
_TEXTS = {"str", "Path"}


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
    def kind(self) -> Kind:
        """The kind of its values."""
        return Kind.of(self.type)

    @property
    def parse(self) -> Callable[[str], Any]:
        """The function that parses a value from text. Raises ValueError."""
        parsers: dict[Kind, Callable[[str], Any]] = {
            Kind.SWITCH: _truth,
            Kind.WHOLE: int,
            Kind.NUMBER: float,
        }
        return parsers.get(self.kind, str)


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


def called_with[**P, Choice, Result](
    kind: Callable[P, Choice],
) -> Callable[[Callable[[Choice], Result]], Callable[P, Result]]:
    """Turn a function of one dataclass into a function of its fields."""

    def wrap(function: Callable[[Choice], Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            return function(_made(function.__name__, kind, *args, **kwargs))

        _show(call, function, kind)
        return call

    return wrap


def initialised_with[**P, Choice, Self](
    kind: Callable[P, Choice],
) -> Callable[[Callable[[Self, Choice], None]], Callable[Concatenate[Self, P], None]]:
    """`called_with` for `__init__`."""

    def wrap(function: Callable[[Self, Choice], None]) -> Callable[Concatenate[Self, P], None]:
        @functools.wraps(function)
        def call(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> None:
            function(self, _made(type(self).__name__, kind, *args, **kwargs))

        _show(call, function, kind, inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY))
        return call

    return wrap


def _made[**P, Choice](name: str, kind: Callable[P, Choice], *args: P.args, **kwargs: P.kwargs) -> Choice:
    """`kind(*args, **kwargs)`. Raises TypeError for wrong arguments, in the name of the function `name`."""
    signature = inspect.signature(kind)
    try:
        arguments = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None
    for argument, value in arguments.items():
        parameter = signature.parameters[argument]
        if wrong := _mistake(str(parameter.annotation), value, required=parameter.default is parameter.empty):
            raise TypeError(f"{name}(): {argument} {wrong}")
    return kind(*args, **kwargs)


def check_types(options: Options) -> None:
    """Raises TypeError for an option whose value is of a wrong type."""
    for each in fields(options):
        required = each.default is MISSING
        if wrong := _mistake(str(each.type), getattr(options, each.name), required=required):
            raise TypeError(f"{each.name} {wrong}")


def _mistake(annotation: str, value: object, *, required: bool) -> str:
    """What is wrong with the type of `value`, for a message: "takes a number, not 'x'"; "" if it is right."""
    wanted = Kind.of(annotation)
    if value is None and not required:
        return ""
    if wanted is Kind.TEXT and not set(annotation.removesuffix(" | None").split(" | ")) <= _TEXTS:
        return ""  # a callback, or another object of Python
    letters = wanted is Kind.LIST and isinstance(value, str)  # a text is a sequence of letters
    return (
        f"takes {wanted.value}, not {value!r}" if letters or not isinstance(value, _CHECKED[wanted]) else ""
    )


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
