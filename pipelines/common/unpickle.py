"""A machine that reads pickles as data. It imports nothing and calls nothing that a file names.

The pickle format is a small stack language whose ``GLOBAL`` and ``REDUCE`` instructions let a file call any
function of any module. Here a name in a file is looked up in a table of our own builders and nowhere else;
what is not in the table is refused, or (for the stray objects of training checkpoints) kept as a StandIn.
Follows the instruction descriptions of Python's ``pickletools``; protocols 0 to 5. Left out on purpose: EXT1,
EXT2, EXT4 (a registry of the process), NEXT_BUFFER and READONLY_BUFFER (data outside the file).
"""

import codecs
import sys
from collections.abc import Callable, Mapping
from typing import Any

from .inert import BadPickle, Builder, Global, StandIn, Stream

Table = Mapping[tuple[str, str], Any]
BUDGET = 48 << 20  # bytes of objects a pickle may make beside its strings; honest files stay below a tenth

# Names of Python's own library, torch and numpy have builders or are refused; only these stand in lifeless.
HARMLESS = {
    ("argparse", "Namespace"), ("pathlib", "Path"), ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"),
    ("pathlib", "PurePosixPath"), ("pathlib", "PureWindowsPath"), ("datetime", "datetime"),
    ("datetime", "date"),
    ("datetime", "timedelta"), ("typing", "Any"), ("types", "SimpleNamespace"), ("uuid", "UUID"),
    *((module, name) for module in ("builtins", "__builtin__")
      for name in ("dict", "list", "tuple", "int", "float", "str", "bool", "object", "complex", "bytes")),
    ("torch.optim.adam", "Adam"), ("torch.optim.adamw", "AdamW"), ("torch.optim.sgd", "SGD"),
    ("numpy.random", "__RandomState_ctor"), ("numpy.random._pickle", "__randomstate_ctor"),
}  # fmt: skip
CLOSED = sys.stdlib_module_names | {
    "__builtin__",
    "commands",
    "torch",
    "numpy",
    "pip",
    "setuptools",
    "__main__",
}


class Machine:
    """Runs one pickle.

    Args:
        stream: where it lies; afterwards it stands behind the pickle.
        table: the names that may be used, as ``{(module, name): Builder or constant}``, by exact pair.
        persistent: makes an object of a persistent id (torch's storages); None refuses them.
        stand_ins: keep unknown names of third-party packages as StandIn instead of refusing them.
    """

    def __init__(
        self,
        stream: Stream,
        table: Table,
        persistent: Callable[[Any], Any] | None = None,
        stand_ins: bool = False,
    ) -> None:
        self.stream, self.table, self.persistent, self.stand_ins = stream, table, persistent, stand_ins
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.spent = 0

    def run(self) -> Any:
        """Return the object that the pickle describes."""
        while True:
            code = self.stream.read(1)[0]
            if code == 0x2E:  # STOP
                return self.pop()
            operation = OPERATIONS.get(code)
            if operation is None:
                raise BadPickle(
                    f"instruction 0x{code:02x} at byte {self.stream.at - 1} is unknown or not allowed"
                )
            operation(self)

    def push(self, value: Any, cost: int = 16) -> None:
        """Put a value on the stack; ``cost`` is about what it weighs in bytes."""
        self.spend(cost)
        self.stack.append(value)

    def spend(self, cost: int) -> None:
        """Charge for memory; a pickle whose objects outgrow any honest file is refused."""
        self.spent += cost
        if self.spent > BUDGET:
            raise BadPickle("it describes far more objects than a weight file has (a pickle bomb)")

    def pop(self) -> Any:
        """Take the topmost value."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise BadPickle("its stack runs empty")
        return self.stack.pop()

    def top(self, kind: type | tuple[type, ...] = object) -> Any:
        """Look at the topmost value, which must be of ``kind``."""
        value = self.pop()
        self.stack.append(value)
        if not isinstance(value, kind):
            raise BadPickle(f"a {type(value).__name__} is used as a container")
        return value

    def pop_mark(self) -> list[Any]:
        """Take all values above the last mark."""
        if not self.marks:
            raise BadPickle("a mark is missing")
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def find(self, module: Any, name: Any) -> Any:
        """Return what a name stands for: an entry of the table, or the inert name itself."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise BadPickle("a name in it is not a text")
        if (module, name) in self.table:
            return self.table[module, name]
        if self.stand_ins and ((module, name) in HARMLESS or module.split(".")[0] not in CLOSED):
            return Global(module, name)
        raise BadPickle(f"it asks for '{module[:60]}.{name[:60]}', which no honest file of this kind needs")

    def call(self, function: Any, args: Any) -> Any:
        """Build what a file calls for: with one of our builders, or as a StandIn."""
        if not isinstance(args, tuple):
            raise BadPickle("the arguments of a call are no tuple")
        self.spend(64)
        if isinstance(function, Builder):
            return function.make(*args)
        if isinstance(function, Global) and self.stand_ins:
            return StandIn(function, args)
        raise BadPickle(f"it calls a {type(function).__name__}")

    def build(self, target: Any, state: Any) -> None:
        """Give an object its state: StandIns keep it, objects of ours check it in ``set_state``."""
        if isinstance(target, StandIn):
            target.state = state
        elif hasattr(type(target), "set_state"):
            target.set_state(state)
        elif not isinstance(target, dict):  # a dict's attributes (torch writes _metadata) carry no data
            raise BadPickle(f"it sets the state of a {type(target).__name__}")

    def extend(self, values: list[Any]) -> None:
        """Append values to the list (or StandIn) on top."""
        target = self.top((list, StandIn))
        self.spend(16 * len(values))
        (target.items if isinstance(target, StandIn) else target).extend(values)

    def update(self, values: list[Any]) -> None:
        """Enter key, value, key, value … into the dict (or StandIn) on top."""
        target = self.top((dict, StandIn))
        pairs = target.pairs if isinstance(target, StandIn) else target
        self.spend(64 * len(values))
        pairs.update(pairs_of(values))

    def remember(self, index: int) -> None:
        """Keep the topmost value for later."""
        self.spend(100)
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        """Push a value kept before."""
        if index not in self.memo:
            raise BadPickle("it recalls a value that it never kept")
        self.push(self.memo[index], 8)


def pairs_of(values: list[Any]) -> dict[Any, Any]:
    """Turn key, value, key, value … into a dict."""
    if len(values) % 2:
        raise BadPickle("a key without a value")
    return {plain_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


def plain_key(key: Any) -> Any:
    """Return ``key`` if it is plain enough to be hashed; hashing deep tuples would overflow the C stack."""
    plain = (str, int, float, bytes, type(None), Global, Builder)
    if isinstance(key, plain) or (isinstance(key, tuple) and all(isinstance(part, plain) for part in key)):
        return key
    raise BadPickle(f"a {type(key).__name__} as a key")


Operation = Callable[[Machine], Any]


def _constant(value: Any) -> Operation:
    return lambda m: m.push(value, 8)


def _number(layout: str) -> Operation:
    return lambda m: m.push(m.stream.number(layout), 32)


def _text(layout: str, encoding: str) -> Operation:
    return lambda m: m.push(m.stream.read(m.stream.number(layout)).decode(encoding, "surrogatepass"), 64)


def _latin(layout: str) -> Operation:
    return lambda m: m.push(m.stream.read(m.stream.number(layout)).decode("latin-1"), 64)


def _bytes(layout: str) -> Operation:
    return lambda m: m.push(m.stream.span(m.stream.number(layout)), 48)


def _long(layout: str) -> Operation:
    return lambda m: m.push(int.from_bytes(m.stream.read(m.stream.number(layout)), "little", signed=True), 32)


def _tuple(count: int) -> Operation:
    return lambda m: m.push(tuple([m.pop() for _ in range(count)][::-1]), 64)


def _integer(m: Machine) -> None:
    line = m.stream.line()
    m.push({"00": False, "01": True}[line] if line in ("00", "01") else int(line.removesuffix("L")), 32)


def _string(m: Machine) -> None:
    line = m.stream.line()
    if len(line) < 2 or line[0] != line[-1] or line[0] not in "'\"":
        raise BadPickle("a string without quotes")
    m.push(codecs.escape_decode(line[1:-1])[0].decode("latin-1"))  # type: ignore[attr-defined]


def _global(m: Machine) -> None:
    m.push(m.find(m.stream.line(), m.stream.line()), 64)


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.push(m.find(module, name), 64)


def _inst(m: Machine) -> None:
    function = m.find(m.stream.line(), m.stream.line())
    m.push(m.call(function, tuple(m.pop_mark())))


def _obj(m: Machine) -> None:
    function, *args = m.pop_mark() or [None]
    m.push(m.call(function, tuple(args)))


def _reduce(m: Machine) -> None:
    args, function = m.pop(), m.pop()
    m.push(m.call(function, args))


def _newobj_ex(m: Machine) -> None:
    kwargs, args, function = m.pop(), m.pop(), m.pop()
    if kwargs != {}:
        raise BadPickle("a call with named arguments")
    m.push(m.call(function, args))


def _build(m: Machine) -> None:
    state = m.pop()
    m.build(m.top(), state)


def _setitem(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    m.update([key, value])


def _append(m: Machine) -> None:
    value = m.pop()
    m.extend([value])


def _additems(m: Machine) -> None:
    values = m.pop_mark()
    m.spend(64 * len(values))
    m.top(set).update(plain_key(value) for value in values)


def _persistent(m: Machine, pid: Any) -> None:
    if m.persistent is None:
        raise BadPickle("it refers to data outside itself")
    m.push(m.persistent(pid))


OPERATIONS: dict[int, Operation] = {
    code[0]: operation
    for code, operation in {
        b"\x80": lambda m: m.stream.read(1),  # PROTO
        b"\x95": lambda m: m.stream.read(8),  # FRAME: a hint for buffering
        b"(": lambda m: m.marks.append(len(m.stack)) or m.spend(8),
        b"0": lambda m: m.pop() if len(m.stack) > (m.marks[-1] if m.marks else 0) else m.pop_mark(),
        b"1": lambda m: m.pop_mark(),
        b"2": lambda m: m.push(m.top(), 8),
        b"N": _constant(None), b"\x88": _constant(True), b"\x89": _constant(False),
        b"I": _integer, b"L": _integer,
        b"J": _number("<i"), b"K": _number("<B"), b"M": _number("<H"), b"G": _number(">d"),
        b"\x8a": _long("<B"), b"\x8b": _long("<i"),
        b"F": lambda m: m.push(float(m.stream.line()), 32),
        b"S": _string, b"T": _latin("<i"), b"U": _latin("<B"),
        b"B": _bytes("<I"), b"C": _bytes("<B"), b"\x8e": _bytes("<Q"), b"\x96": _bytes("<Q"),
        b"V": lambda m: m.push(m.stream.line().encode("latin-1").decode("raw-unicode-escape")),
        b"X": _text("<I", "utf-8"), b"\x8c": _text("<B", "utf-8"), b"\x8d": _text("<Q", "utf-8"),
        b"]": lambda m: m.push([], 64), b")": _constant(()), b"}": lambda m: m.push({}, 72),
        b"\x8f": lambda m: m.push(set(), 224),
        b"l": lambda m: m.push(m.pop_mark(), 64), b"t": lambda m: m.push(tuple(m.pop_mark()), 64),
        b"d": lambda m: m.push(pairs_of(m.pop_mark()), 72),
        b"\x91": lambda m: m.push(frozenset(plain_key(value) for value in m.pop_mark()), 224),
        b"\x85": _tuple(1), b"\x86": _tuple(2), b"\x87": _tuple(3),
        b"a": _append, b"e": lambda m: m.extend(m.pop_mark()),
        b"s": _setitem, b"u": lambda m: m.update(m.pop_mark()), b"\x90": _additems,
        b"p": lambda m: m.remember(int(m.stream.line())), b"q": lambda m: m.remember(m.stream.number("<B")),
        b"r": lambda m: m.remember(m.stream.number("<I")), b"\x94": lambda m: m.remember(len(m.memo)),
        b"g": lambda m: m.recall(int(m.stream.line())), b"h": lambda m: m.recall(m.stream.number("<B")),
        b"j": lambda m: m.recall(m.stream.number("<I")),
        b"c": _global, b"\x93": _stack_global, b"i": _inst, b"o": _obj,
        b"\x81": _reduce, b"R": _reduce, b"\x92": _newobj_ex, b"b": _build,
        b"P": lambda m: _persistent(m, m.stream.line()), b"Q": lambda m: _persistent(m, m.pop()),
    }.items()
}  # fmt: skip
