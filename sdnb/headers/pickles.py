"""A pickle is read here, never run.

Python's unpickler calls whatever a pickle names. This reader is a small stack machine over the
opcodes (`pickletools.genops`, which only decodes) that has no way to call anything: it builds plain
containers, asks `rebuild` for the few names that stand for tensors, and puts an inert `Unknown`
wherever the pickle wants anything else. An `Unknown` swallows arguments, state, items and further
calls and does nothing.

Memory and time stay in proportion to the pickle's length, and its length is bounded in bytes and
steps: the memo is a dictionary, keys are scalars (so no hash walks a nested structure) of which few
have a hash that an author can choose, and containers are copied only as often as the length pays
for. Nothing here turns a value into text: one of a few hundred bytes may hold itself 2**100 times.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from sdnb.headers.errors import CheckpointError
from sdnb.request.plain_words import reason

PICKLE_LIMIT = 32 << 20  # bytes read of a pickle; real ones are below 10 MB
# Steps through the pickles of a file, about 35 a tensor: a model with its moving average and its
# optimiser's states has below 200,000.
STEP_LIMIT = 1 << 19
CHOSEN_KEYS = 500  # keys whose hashes may be made to collide: a table of n takes n * n comparisons
NUMBERS = 20_000  # keys that are ordinary whole numbers, of which an author chooses the places
_LONGEST_KEY = 512  # bits of a number
_LONGEST_NAME = 1000  # letters of a class or function


@dataclass(frozen=True)
class Global:
    """A name that the pickle mentions: a class or a function, never looked up."""

    name: str  # "torch.FloatStorage"


@dataclass(frozen=True, eq=False)
class Unknown:
    """The result of a call that was not made."""

    name: str  # of the function that the pickle would call


class Parameters(dict[Any, Any]):
    """What stands for torch's ParameterDict: of its state, the parameters alone."""


Rebuild = Mapping[str, Callable[..., Any]]  # the callables admitted, by name

_MARK = object()
_SECRET = (str, bool, bytes, type(None), Global, Unknown)  # hashes that no author can choose
_SCALARS = (*_SECRET, int, float)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
}
# Plain containers that a pickle calls by name; `_container` checks the arguments.
_CONTAINERS = {
    f"{module}.{name}": name
    for module in ("builtins", "__builtin__")
    for name in ("dict", "list", "tuple", "set", "frozenset")
} | {"collections.OrderedDict": "dict", "torch.Size": "tuple"}


class PickleReader:
    """Reads one pickle. `persistent` turns a persistent id (torch's storages) into a value."""

    def __init__(self, rebuild: Rebuild, persistent: Callable[[Any], Any]) -> None:
        self.rebuild = rebuild
        self.persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0
        self.copies = 0  # elements that may still be copied from one container to another
        self.chosen = 0  # keys whose hashes an author can choose
        self.numbers = 0  # keys that are whole numbers

    def read(self, data: bytes | IO[bytes]) -> tuple[Any, int]:
        """The value, and the position just after the pickle's end.

        Several pickles of a file may be read one after the other; their limits are for all. Raises
        CheckpointError when the data is no pickle, a damaged one, or beyond the limits.
        """
        self.stack, self.memo = [], {}
        try:
            for opcode, argument, position in pickletools.genops(data):
                if opcode.name == "STOP":
                    return self.stack.pop(), (position or 0) + 1
                self._step(opcode.name, argument)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001  (the decoder and the machine raise any)
            raise CheckpointError(f"the pickle is damaged ({reason(error)})") from None
        raise CheckpointError("the pickle has no end")

    def _step(self, op: str, argument: Any) -> None:
        self.steps += 1
        if self.steps > STEP_LIMIT:
            raise CheckpointError(
                f"the pickle has more than {STEP_LIMIT:,} steps, beyond any model's"
            )
        self.copies += 1  # an element costs an opcode, so one copy of each is paid for
        push = self.stack.append
        if op in _CONSTANTS:
            push(_CONSTANTS[op])
        elif op in _EMPTY:
            push(_EMPTY[op]())
        elif op == "MARK":
            push(_MARK)
        elif (method := getattr(self, "_" + op.lower(), None)) is not None:
            method(argument)
        elif op in _LITERALS:
            push(argument)
        else:
            raise CheckpointError(f"the pickle uses {op}, which no checkpoint needs; it is refused")

    def _proto(self, _: Any) -> None:
        pass

    _frame = _proto

    # -- the memo and the stack ----------------------------------------------------------------
    def _put(self, at: int) -> None:
        if not 0 <= at <= self.steps:  # Python counts them; any others may have hashes that collide
            raise ValueError("a place in the memo beyond its end")
        self.memo[at] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, at: int) -> None:
        self.stack.append(self.memo[at])

    _binget = _long_binget = _get

    def _until_mark(self) -> list[Any]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise ValueError("no mark on the stack")

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._until_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    # -- containers ----------------------------------------------------------------------------
    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._until_mark()))

    def _tuple1(self, _: Any) -> None:
        self._join(1)

    def _tuple2(self, _: Any) -> None:
        self._join(2)

    def _tuple3(self, _: Any) -> None:
        self._join(3)

    def _join(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) < count:
            raise IndexError("the stack is too short")
        del self.stack[-count:]
        self.stack.append(items)

    def _list(self, _: Any) -> None:
        self.stack.append(self._until_mark())

    def _dict(self, _: Any) -> None:
        items = self._until_mark()
        self.stack.append({})
        self._put_items(items)

    def _frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(self._keys(self._until_mark())))

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._until_mark())

    def _additems(self, _: Any) -> None:
        items = self._until_mark()
        if isinstance(self.stack[-1], set):
            self.stack[-1].update(self._keys(items))
        elif not isinstance(self.stack[-1], Unknown):
            raise TypeError("items are added to something that is no set")

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Unknown):
            raise TypeError("items are appended to something that is no list")

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put_items([key, value])

    def _setitems(self, _: Any) -> None:
        self._put_items(self._until_mark())

    def _put_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update(zip(self._keys(items[::2]), items[1::2], strict=True))
        elif not isinstance(target, Unknown):
            raise TypeError("items are set on something that is no dictionary")

    # -- what would be calls -------------------------------------------------------------------
    def _global(self, argument: str) -> None:
        self.stack.append(_named(*argument.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise TypeError("a global whose name is no text")
        self.stack.append(_named(module, name))

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(self.call(function, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()  # keyword arguments: nothing admitted takes any
        self._reduce(None)

    def _inst(self, argument: str) -> None:
        self.stack.append(self.call(_named(*argument.split(" ", 1)), tuple(self._until_mark())))

    def _obj(self, _: Any) -> None:
        function, *arguments = self._until_mark()
        self.stack.append(self.call(function, tuple(arguments)))

    def _build(self, _: Any) -> None:
        state = self.stack.pop()  # attributes: no other value has any that are needed
        if isinstance(self.stack[-1], Parameters) and isinstance(state, dict):
            inside = self._container("dict", (state.get("_parameters", {}),), "ParameterDict")
            self.stack[-1].update(inside if isinstance(inside, dict) else {})

    def _ext1(self, code: int) -> None:
        self.stack.append(Unknown(f"extension code {code}"))

    _ext2 = _ext4 = _ext1

    def _persid(self, argument: str) -> None:
        self.stack.append(self.persistent(argument))

    def _binpersid(self, _: Any) -> None:
        self.stack.append(self.persistent(self.stack.pop()))

    def call(self, function: Any, arguments: Any) -> Any:
        """What stands for `function(*arguments)`: a container, a tensor, or an `Unknown`."""
        if not isinstance(arguments, tuple):
            raise TypeError("a call whose arguments are no tuple")
        if isinstance(function, Unknown):
            return Unknown(function.name)
        if not isinstance(function, Global):
            raise TypeError(f"a {type(function).__name__} is called")
        if function.name in _CONTAINERS:
            return self._container(_CONTAINERS[function.name], arguments, function.name)
        if function.name == "torch._tensor._rebuild_from_type_v2" and len(arguments) == 4:
            return self.call(arguments[0], arguments[2])  # (function, type, its arguments, state)
        if function.name not in self.rebuild:
            return Unknown(function.name)
        if arguments and isinstance(arguments[0], Unknown):  # a tensor of an unknown storage
            return Unknown(arguments[0].name)
        return self.rebuild[function.name](*arguments)

    def _container(self, kind: str, arguments: tuple[Any, ...], name: str) -> Any:
        """`dict(items)`, `list(items)` ... of real containers only; anything else stays unknown."""
        items = arguments[0] if arguments else ()
        if len(arguments) > 1 or not isinstance(items, (list, tuple, set, frozenset, dict)):
            return Unknown(name)
        self.copies -= len(items)
        if self.copies < 0:
            raise ValueError("it copies its containers again and again")
        if kind == "list":
            return list(items)
        if kind == "tuple":
            return tuple(items)
        if kind in ("set", "frozenset"):
            return {"set": set, "frozenset": frozenset}[kind](self._keys(list(items)))
        if isinstance(items, dict):
            return dict(items)
        if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in items):
            return Unknown(name)
        pairs = [tuple(pair) for pair in items]
        return dict(
            zip(self._keys([key for key, _ in pairs]), [value for _, value in pairs], strict=True)
        )

    def _keys(self, items: list[Any]) -> list[Any]:
        """Keys must be scalars, or short tuples of them: hashing a nested tuple walks it, and a
        pickle nests without bound.
        """
        for item in items:
            if isinstance(item, _SECRET):
                continue
            if type(item) is int and abs(item) < 2**60:  # an optimiser numbers its states
                self.numbers += 1
                if self.numbers > NUMBERS:
                    raise ValueError(f"more than {NUMBERS:,} keys that are numbers")
                continue
            parts = item if isinstance(item, tuple) else (item,)
            if len(parts) > 16 or not all(isinstance(part, _SCALARS) for part in parts):
                raise ValueError(f"a key that is a {type(item).__name__}")
            if any(isinstance(n, int) and n.bit_length() > _LONGEST_KEY for n in parts):
                raise ValueError(f"a number of more than {_LONGEST_KEY} bits in a key")
            self.chosen += 1
            if self.chosen > CHOSEN_KEYS:
                raise ValueError(f"more than {CHOSEN_KEYS} keys that are fractions, tuples or huge")
        return items


def _named(module: str, name: str) -> Global:
    """A name, short: each time that one is put together or quoted, it costs its length."""
    if len(module) + len(name) > _LONGEST_NAME:
        raise ValueError(f"a class or function whose name has more than {_LONGEST_NAME:,} letters")
    return Global(f"{module}.{name}")


_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
