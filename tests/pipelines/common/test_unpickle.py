"""The pickle machine: reads what Python writes, refuses every way of calling something, and stays small."""

import pickle
import struct
from collections import OrderedDict

import pytest
from comfyui_figura.pipelines.common.inert import BadPickle, Builder, StandIn, Stream
from comfyui_figura.pipelines.common.rebuild import CONTAINERS, PLAIN
from comfyui_figura.pipelines.common.unpickle import Machine
from hypothesis import given, settings
from hypothesis import strategies as st

ECHO = b"S'echo pwned > pwned.txt'\n"
COMMAND = "echo pwned > pwned.txt"


def load(data: bytes, table=PLAIN, stand_ins: bool = False):
    return Machine(Stream.of(data), table, stand_ins=stand_ins).run()


def text(word: str) -> bytes:
    return b"\x8c" + bytes([len(word)]) + word.encode()


def stack_global(module: str, name: str, arguments: bytes = text(COMMAND) + b"\x85") -> bytes:
    return b"\x80\x04" + text(module) + text(name) + b"\x93" + arguments + b"R."


# One payload per instruction family that can reach a callable.
PAYLOADS = {
    "global": b"\x80\x02cos\nsystem\n(" + ECHO + b"tR.",
    "global, protocol 0": b"cposix\nsystem\np0\n(" + ECHO + b"p1\ntp2\nRp3\n.",
    "global, windows": b"\x80\x02cnt\nsystem\n(" + ECHO + b"tR.",
    "stack global": stack_global("os", "system"),
    "stack global, posix": stack_global("posix", "system"),
    "inst": b"(" + ECHO + b"ios\nsystem\n.",
    "obj": b"(cos\nsystem\n" + ECHO + b"o.",
    "newobj": b"\x80\x02cos\nsystem\n(" + ECHO + b"t\x81.",
    "newobj_ex": b"\x80\x04cos\nsystem\n(" + ECHO + b"t}\x92.",
    "newobj_ex with keywords": b"\x80\x04ccollections\nOrderedDict\n)}(" + text("a") + text("b") + b"u\x92.",
    "build": b"\x80\x02cbuiltins\nobject\n)\x81}(" + text("__class__") + text("x") + b"ub.",
    "build of a list": b"\x80\x02]}b.",
    "build of a class": b"\x80\x02ccollections\nOrderedDict\n}(" + text("x") + text("y") + b"ub.",
    "ext1": b"\x80\x02\x82\x01.",
    "ext2": b"\x80\x02\x83\x01\x00.",
    "ext4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "next buffer": b"\x80\x05\x97.",
    "readonly buffer": b"\x80\x05\x97\x98.",
    "persistent id": b"Pos.system\n.",
    "binary persistent id": b"\x80\x02" + text("storage") + b"Q.",
    "dotted name": stack_global("os", "path.os.system"),
    "dotted name in an allowed module": stack_global("torch", "serialization.os.system"),
    "dotted name in an allowed pair": stack_global("collections", "OrderedDict.__init__"),
    "name that is no text": b"\x80\x04K\x01K\x02\x93.",
    "call of a text": b"\x80\x02" + text("os.system") + text(COMMAND) + b"\x85R.",
    "call of a builder's result": b"\x80\x02ccollections\nOrderedDict\n)R)R.",
    "arguments that are no tuple": b"\x80\x02ccollections\nOrderedDict\n]R.",
}
GADGETS = [
    tuple(word.split(":"))
    for word in """
    builtins:eval builtins:exec builtins:getattr builtins:__import__ builtins:open __builtin__:eval
    subprocess:Popen subprocess:check_output importlib:import_module runpy:run_path pickle:loads _pickle:loads
    marshal:loads ctypes:CDLL webbrowser:open pydoc:pipepager pty:spawn operator:attrgetter functools:partial
    codecs:decode _codecs:decode socket:create_connection shutil:rmtree pathlib:Path.unlink asyncio:run
    timeit:timeit collections:namedtuple torch:load torch.hub:load torch.serialization:load torch.jit:load
    torch._utils:_import_dotted_name torch.storage:os torch.utils.cpp_extension:load_inline numpy:load
    numpy.testing._private.utils:runstring numpy.core.multiarray:fromfile pip._internal:main setuptools:setup
    torch._dynamo.guards:GuardBuilder __main__:Anything
    """.split()
]


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("stand_ins", [False, True], ids=["strict", "checkpoint"])
def test_no_instruction_reaches_a_callable(name, stand_ins, watch):
    try:
        value = load(PAYLOADS[name], stand_ins=stand_ins)
    except BadPickle:
        return
    # "build" on object(): a checkpoint may hold such an object, but only as a lifeless stand-in
    assert stand_ins and name == "build" and isinstance(value, StandIn)


@pytest.mark.parametrize("pair", GADGETS, ids=".".join)
@pytest.mark.parametrize("stand_ins", [False, True], ids=["strict", "checkpoint"])
def test_names_of_python_torch_and_numpy_are_refused(pair, stand_ins, watch):
    with pytest.raises(BadPickle, match="asks for"):
        load(stack_global(*pair), stand_ins=stand_ins)


def test_payloads_do_execute_elsewhere(watch, tmp_path):
    """The payloads are real: Python's own loader runs them."""
    for name in ("global, protocol 0", "stack global", "inst", "obj"):
        pickle.loads(PAYLOADS[name])  # noqa: S301
        assert (tmp_path / "pwned.txt").exists(), name
        (tmp_path / "pwned.txt").unlink()
    assert any(event.startswith("os.system") for event in watch)
    watch.clear()


def test_classes_of_other_packages_stand_in_without_life(watch):
    value = load(stack_global("pytorch_lightning.callbacks", "ModelCheckpoint"), stand_ins=True)
    assert isinstance(value, StandIn) and str(value.origin) == "pytorch_lightning.callbacks.ModelCheckpoint"
    assert value.args == (COMMAND,)
    with pytest.raises(BadPickle):
        load(stack_global("pytorch_lightning.callbacks", "ModelCheckpoint"))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text(), st.integers()), inner)
        | st.sets(st.integers() | st.text())
        | st.frozensets(st.text())
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(value=plain, protocol=st.integers(0, 5))
def test_reads_plain_values_as_python_wrote_them(value, protocol):
    table = CONTAINERS | {
        ("builtins", "frozenset"): Builder(frozenset),
        ("__builtin__", "frozenset"): Builder(frozenset),
    }
    table |= {("builtins", "bytearray"): Builder(bytes), ("__builtin__", "bytes"): Builder(lambda: b"")}
    data = pickle.dumps(value, protocol=protocol)
    result = load(data, table)
    assert result == value and type(result) is type(value)


def test_shared_and_ordered_values_keep_their_identity():
    inner = [1]
    first, second, ordered = load(pickle.dumps([inner, inner, OrderedDict(b=1, a=2)]))
    assert first is second and list(ordered) == ["b", "a"]


BROKEN = [
    b"", b".", b"\x80", b"\x80\x04.", b"N0.", b"(.", b"t.", b"\x85.", b"s.", b"\x94.", b"h\x05.", b"\xff.",
    b"j\xff\xff\xff\xff.", b"}K\x01s.", b"K\x01K\x02K\x03s.", b"]NNs.", b"NK\x01a.", b"(K\x01d.", b"I12",
    b"\x8e" + struct.pack("<Q", 2**62) + b".", b"\x8b" + struct.pack("<i", -5) + b".", b"Sabc\n.",
    b"T" + struct.pack("<i", -1), b"X" + struct.pack("<I", 2**32 - 1) + b"abc.",
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN, ids=repr)
def test_broken_streams_are_refused(data):
    with pytest.raises(BadPickle):
        load(data)


def _nested_lists(levels: int) -> bytes:
    """Lists of ten times the list before."""
    body = b"".join(b"](" + (b"h" + bytes([level])) * 10 + b"e\x94" for level in range(levels))
    return b"\x80\x04]\x94" + body + b"."


BOMBS = {
    "empty dicts": b"}" * 3_000_000 + b".",
    "sets": b"\x8f" * 3_000_000 + b".",
    "memo": b"N" + b"\x94" * 3_000_000 + b".",
    "copies": b"]" + b"2" * 6_400_000 + b".",
    "marks": b"(" * 6_400_000 + b".",
    "keys": b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(600_000)) + b"u.",
    "deep key": b")" + b"\x85" * 700_000 + b"\x94}h\x00Ns.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name):
    with pytest.raises(BadPickle):
        load(BOMBS[name])


def test_references_that_multiply_cost_nothing_until_walked():
    value = load(_nested_lists(10))
    depth = 0
    while value:
        value, depth = value[-1], depth + 1
    assert depth == 10  # and 10**10 leaves, if somebody walked them all
