"""Building the objects that a definition declares, from allowed modules only.

A spec is a mapping `{_target_: <allowed module>.<PublicName>, argument: value, ...}`; values may hold further
specs. The words of a definition choose among classes that are known to be harmless; they never reach a
function, a deeper attribute, or a class that imports, reads or writes what a string argument names.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator

from medseg.allowed import EXTRAS, GUARDED, NEEDED, REFUSED, REFUSED_ARGUMENTS, REFUSED_OWN, SHIPPED, Allowed
from medseg.errors import DefinitionError

__all__ = [
    "SHIPPED",
    "Allowed",
    "Declared",
    "Kind",
    "Slot",
    "Spec",
    "build",
    "check",
    "is_spec",
    "named",
    "resolve",
]


def _is_declared(value: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value.get("_target_"), str):
        # pydantic makes an error of the definition from a ValueError, not from a TypeError
        raise ValueError("expected an object: {_target_: <module>.<Class>, argument: value, ...}")  # noqa: TRY004
    return value


Spec = Annotated[dict[str, Any], AfterValidator(_is_declared)]
"""Type of a pydantic field that holds a spec; what it names is looked up by `check` alone."""

Kind = type | tuple[type, ...] | Callable[[type], bool]
"""What a slot takes: subclasses of a type or of one of several, or classes for which a function is true."""


@dataclass(frozen=True)
class Slot:
    """An argument whose object is made later: a loss waits for class weights, an optimiser for a network.

    A class lists such arguments as `declared: ClassVar[Mapping[str, Slot]]`. In a definition they hold a
    spec; the constructor gets a `Declared`, to be called with what has become known by then.

    Attributes:
        kind: Dotted name of the type that the object must have, such as `torch.nn.Module`: imported only
            when a spec is checked.
        supplied: Names of what the call will bring.
    """

    kind: str
    supplied: tuple[str, ...] = ()

    def expected(self) -> Kind:
        """The type itself."""
        return named(self.kind)


def named(dotted: str) -> type:
    """The class of a dotted name that stands in code: what a definition says goes through `resolve`."""
    module, _, name = dotted.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


@dataclass(frozen=True)
class Declared:
    """A spec that was checked and waits to be built; each call builds a new object."""

    spec: Mapping[str, Any]
    at: str
    slot: Slot
    allowed: Allowed

    def __call__(self, **supplied: Any) -> Any:
        """Build the object; see `build` for how `supplied` is passed."""
        return build(self.spec, at=self.at, kind=self.slot.expected(), allowed=self.allowed, **supplied)


def is_spec(value: object) -> bool:
    """Whether a value of a definition declares an object."""
    return isinstance(value, Mapping) and "_target_" in value


def resolve(target: str, *, at: str, allowed: Allowed = SHIPPED) -> type:
    """Find the class that a `_target_` names, importing its module if it is an allowed one.

    Args:
        target: `<allowed module>.<PublicName>`.
        at: Dotted key of the spec in the definition, for errors.
        allowed: Where it may come from.

    Raises:
        DefinitionError: Another module, no public class, a class that was defined elsewhere or is refused.
    """
    where = f"{at}._target_"
    if not isinstance(target, str):
        raise DefinitionError(
            f"at {where}: got {target!r}; expected a text such as monai.networks.nets.UNet."
        )
    module_name, _, name = target.rpartition(".")
    if not allowed.covers(module_name):
        known = sorted(allowed.modules | allowed.packages)
        raise DefinitionError(
            f"at {where}: '{target}' is of no allowed module.{_nearest(module_name, known)} Allowed are "
            f"public classes of {', '.join(known)}; --allow PACKAGE adds one."
        )
    module = _imported(module_name, where)
    found = getattr(module, name, None) if name.isidentifier() and not name.startswith("_") else None
    if found is None:
        raise DefinitionError(
            f"at {where}: {module_name} has no public class '{name}'.{_nearest(name, _classes(module))}"
        )
    if not inspect.isclass(found):
        raise DefinitionError(f"at {where}: '{target}' is a {type(found).__name__}; expected a class.")
    home = found.__module__.partition(".")[0]
    if home != module_name.partition(".")[0]:
        raise DefinitionError(
            f"at {where}: '{target}' only stands there: it belongs to {found.__module__}, not allowed."
        )
    refused = {"monai": REFUSED, "medseg": REFUSED_OWN}.get(home, {})
    if found.__name__ in refused:
        raise DefinitionError(
            f"at {where}: '{target}' is refused in a definition: {refused[found.__name__]}."
        )
    if inspect.isabstract(found):
        raise DefinitionError(f"at {where}: '{target}' is abstract: name a class that is built on it.")
    return found


def check(
    spec: object,
    *,
    at: str,
    kind: Kind | None,
    allowed: Allowed = SHIPPED,
    supplied: Collection[str] = (),
) -> type:
    """Resolve a spec and bind every argument to the signature, nested specs included; constructs nothing.

    Args:
        spec: The mapping with `_target_`.
        at: Its dotted key in the definition, for errors.
        kind: What the slot takes; None for anything.
        allowed: Where classes may come from.
        supplied: Names of arguments that `build` will be given beside the spec.

    Returns:
        The class.

    Raises:
        DefinitionError: An unknown or missing argument, a class of another kind, or what `resolve` refuses.
    """
    if not isinstance(spec, Mapping) or "_target_" not in spec:
        raise DefinitionError(
            f"at {at}: got {spec!r}; expected an object: {{_target_: ..., argument: value}}."
        )
    found = resolve(spec["_target_"], at=at, allowed=allowed)
    if kind is not None and not _fits(found, kind):
        raise DefinitionError(f"at {at}: {spec['_target_']} is no {_called(kind)}, which this place takes.")
    given = {key: value for key, value in spec.items() if key != "_target_"}
    _bind(found, given, supplied, at)
    slots: Mapping[str, Slot] = getattr(found, "declared", {})
    for key, value in given.items():
        place = f"{at}.{key}"
        if key not in slots:
            for nested_at, nested in _specs(value, place):
                check(nested, at=nested_at, kind=None, allowed=allowed, supplied=supplied)
        elif value is not None:
            slot = slots[key]
            check(value, at=place, kind=slot.expected(), allowed=allowed, supplied=slot.supplied)
    return found


def build(
    spec: object,
    *,
    at: str,
    kind: Kind | None,
    allowed: Allowed = SHIPPED,
    **supplied: Any,
) -> Any:
    """Check a spec, then construct the object; nested specs first.

    Args:
        spec: The mapping with `_target_`.
        at: Its dotted key in the definition, for errors.
        kind: What the slot takes; None for anything.
        allowed: Where classes may come from.
        **supplied: Arguments from the program, such as the `optimizer` of a schedule: passed where the
            constructor takes them and the spec does not set them. Nested objects get those that they cannot
            do without, so that a schedule may be made of schedules.

    Raises:
        DefinitionError: What `check` refuses, or the constructor does: any exception of it is reported so.
    """
    check(spec, at=at, kind=kind, allowed=allowed, supplied=supplied)
    return _construct(spec, at, allowed, supplied, nested=False)


def _construct(spec: Any, at: str, allowed: Allowed, supplied: Mapping[str, Any], *, nested: bool) -> Any:
    found = resolve(spec["_target_"], at=at, allowed=allowed)
    _refuse_without(found, at)
    slots: Mapping[str, Slot] = getattr(found, "declared", {})
    given = {
        key: Declared(value, f"{at}.{key}", slots[key], allowed)
        if key in slots and value is not None
        else _filled(value, f"{at}.{key}", allowed, supplied)
        for key, value in spec.items()
        if key != "_target_"
    }
    taken = _parameters(found, at)
    for name, value in supplied.items():
        required = name in taken and taken[name].default is inspect.Parameter.empty
        if name not in given and name in taken and (required or not nested):
            given[name] = value
    try:
        return found(**given)
    except Exception as error:  # a constructor may raise anything at what a user wrote
        reason = str(error) or type(error).__name__
        reason += _unlike_defaults(given, taken, reason)
        raise DefinitionError(f"at {at}: {spec['_target_']} refused its arguments: {reason}") from error


def _unlike_defaults(given: Mapping[str, Any], taken: Mapping[str, inspect.Parameter], reason: str) -> str:
    """Which arguments are texts where the default is a number, if the reason does not say so itself."""
    texts = {name: value for name, value in given.items() if isinstance(value, str) and name in taken}
    return "".join(
        f"; {name} is {value!r}, by default {taken[name].default!r}: expected a number"
        for name, value in texts.items()
        if type(taken[name].default) in (int, float) and f"{name} is {value!r}" not in reason
    )


def _refuse_without(found: type, at: str) -> None:
    """Refuse a class of MONAI whose extra is not installed."""
    needed = NEEDED.get(found.__name__) if found.__module__.startswith("monai.") else None
    if needed is not None and find_spec(needed) is None:
        raise DefinitionError(
            f"at {at}: {found.__name__} needs {needed}, which is not installed. Install it: pip install "
            f"{EXTRAS[needed]}"
        )


def _filled(value: Any, at: str, allowed: Allowed, supplied: Mapping[str, Any]) -> Any:
    if is_spec(value):
        return _construct(value, at, allowed, supplied, nested=True)
    if isinstance(value, Mapping):
        return {key: _filled(each, f"{at}.{key}", allowed, supplied) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, f"{at}.{place}", allowed, supplied) for place, each in enumerate(value)]
    return value


def _specs(value: Any, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The specs nearest below a value, with their keys."""
    if is_spec(value):
        yield at, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _specs(each, f"{at}.{key}")
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from _specs(each, f"{at}.{place}")


def _bind(found: type, given: Mapping[Any, Any], supplied: Collection[str], at: str) -> None:
    taken = _parameters(found, at)
    open_ended = any(each.kind is each.VAR_KEYWORD for each in _signature(found, at).parameters.values())
    for key in given:
        odd = not isinstance(key, str) or key.startswith("_")
        if odd or (key not in taken and not open_ended):
            raise DefinitionError(
                f"at {at}.{key}: {found.__name__} takes no '{key}'.{_nearest(str(key), taken)} "
                f"It takes: {', '.join(taken) or 'nothing'}."
            )
    for name, parameter in taken.items():
        if parameter.default is inspect.Parameter.empty and name not in given and name not in supplied:
            raise DefinitionError(f"at {at}: {found.__name__} needs '{name}': add the line `{name}: ...`.")
    if found.__module__.partition(".")[0] in GUARDED:
        for name in REFUSED_ARGUMENTS.keys() & (taken.keys() | given.keys()):
            default = taken[name].default if name in taken else None
            if given.get(name, default):
                raise DefinitionError(f"at {at}.{name}: refused in a definition: {REFUSED_ARGUMENTS[name]}.")


def _parameters(found: type, at: str) -> dict[str, inspect.Parameter]:
    """The arguments that a class takes by name."""
    return {
        name: each
        for name, each in _signature(found, at).parameters.items()
        if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY} and not name.startswith("_")
    }


def _signature(found: type, at: str) -> inspect.Signature:
    try:
        return inspect.signature(found)
    except ValueError as error:  # some classes written in C do not tell theirs
        raise DefinitionError(
            f"at {at}: {found.__name__} does not say what it takes; name another class."
        ) from error


def _imported(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # importing a package that the caller allowed may raise anything
        if name in EXTRAS and isinstance(error, ModuleNotFoundError) and error.name == name:
            why = f"{name} is not installed. Install it: pip install {EXTRAS[name]}"
            raise DefinitionError(f"at {where}: {why}") from error
        raise DefinitionError(f"at {where}: the module {name} cannot be imported: {error}.") from error


def _fits(found: type, kind: Kind) -> bool:
    if isinstance(kind, type | tuple):
        return issubclass(found, kind)
    return kind(found)


def _called(kind: Kind) -> str:
    if isinstance(kind, tuple):
        return " or ".join(each.__name__ for each in kind)
    return getattr(kind, "__name__", "object of the kind").strip("_").replace("_", " ")


def _classes(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or dir(module)
    return [name for name in names if name[:1].isupper()]


def _nearest(given: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(given, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
