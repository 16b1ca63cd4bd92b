"""Stripe's objects and parameters, in exactly the shapes the official library types.

What the fake answers is made here, so that it has every field the library promises and none it does
not know; what it is sent is held against the library's parameter types.
"""

import sys
import types
import typing
from typing import Any

import stripe
from stripe._stripe_object import UntypedStripeObject


def made(kind: type[stripe.StripeObject], **given: Any) -> dict[str, Any]:
    """Return an object of Stripe's as JSON: all fields, empty where nothing is given."""
    known = _fields(kind)
    assert given.keys() <= known.keys(), f"{kind.__name__} has no {given.keys() - known.keys()}"
    values = {name: _empty(hint) for name, hint in known.items() if name != "deleted"}
    values |= given
    read = kind.construct_from(values, None)
    assert isinstance(read, kind)
    for name, hint in known.items():
        if name in values and not _is_optional(hint):
            assert getattr(read, name) is not None, f"{kind.__name__}.{name} is required"
    return values


def listed(url: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a list as Stripe sends it."""
    return {"object": "list", "data": rows, "has_more": False, "url": url}


def found(url: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a search answers."""
    return listed(url, rows) | {"object": "search_result", "next_page": None}


def check_params(kind: Any, given: dict[str, Any], path: str = "") -> None:
    """Refuse a parameter the library's types do not know."""
    module = vars(sys.modules[kind.__module__])
    for name, value in given.items():
        assert name in kind.__annotations__, f"{kind.__name__}: no parameter {path}{name}"
        try:
            hint = typing.get_type_hints(kind, globalns=module)[name]
        except NameError:  # a type the library imports for checkers alone
            continue
        _check_value(hint, value, f"{path}{name}.")


def _check_value(hint: Any, value: Any, path: str) -> None:
    parts = _parts(hint)
    shapes = [part for part in parts if typing.is_typeddict(part)]
    if isinstance(value, dict) and shapes:
        failures = [failure for shape in shapes if (failure := _failure(shape, value, path))]
        assert len(failures) < len(shapes), failures
    if isinstance(value, list):
        for part in parts:
            if typing.get_origin(part) is list:
                for item in value:
                    _check_value(typing.get_args(part)[0], item, path)


def _failure(shape: Any, value: dict[str, Any], path: str) -> str:
    try:
        check_params(shape, value, path)
    except AssertionError as error:
        return str(error)
    return ""


def _parts(hint: Any) -> list[Any]:
    """Return the alternatives of a type."""
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return [part for arg in typing.get_args(hint) for part in _parts(arg)]
    if hasattr(hint, "__origin__") and "NotRequired" in str(hint.__origin__):
        return _parts(typing.get_args(hint)[0])
    return [hint]


def _fields(kind: type[stripe.StripeObject]) -> dict[str, Any]:
    hints = dict(kind.__annotations__)
    return {name: hint for name, hint in hints.items() if "ClassVar" not in str(hint)}


def _is_optional(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def _empty(hint: Any) -> Any:
    """Return the emptiest value of a type."""
    if _is_optional(hint):
        return None
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return args[0]
    if origin is typing.Union:
        return _empty(args[0])
    if origin is list:
        return []
    if isinstance(hint, type) and origin is None:
        return _empty_of(hint)
    if origin is UntypedStripeObject:
        return {}
    if origin is stripe.ListObject:
        return listed("/v1/nothing", [])
    return ""


def _empty_of(kind: type) -> Any:
    if issubclass(kind, stripe.StripeObject):
        return made(kind)
    return kind()
