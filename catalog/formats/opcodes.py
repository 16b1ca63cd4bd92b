"""Follow a pickle's opcodes without doing what they say.

A pickle is a program for a small stack machine. ``trace`` runs it on symbols instead of objects
and notes what a real unpickler would import and call. It is deliberately more tolerant than
``pickletools.genops``: what that rejects (``I0x1``, say) the C unpickler may accept, and a scanner
that stops early misses what follows. The shape of every opcode comes from ``pickletools``.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from catalog.formats.errors import TruncatedError
from catalog.formats.sources import ByteSource, Cursor, OverBudgetError

MAX_TEXT_BYTES = 512
"""Longest text kept for a later ``STACK_GLOBAL``; no real module or attribute comes close."""
MAX_STACK = 1_000_000
_STEPS_PER_BILL = 256


class GlobalRef(NamedTuple):
    """Something a pickle imports."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


UNRESOLVED = GlobalRef("?", "?")
"""An import whose name is computed, or taken from the extension registry."""
LATIN1_ONLY = frozenset({GlobalRef("_codecs", "encode")})
"""Allowed by its argument only: numpy writes bytes as ``_codecs.encode(text, 'latin1')``."""


@dataclass(slots=True)
class Trace:
    """What running one pickle would do."""

    imports: dict[GlobalRef, int] = field(default_factory=dict)
    """Every import with the offset in bytes of the first opcode that asks for it."""
    called: set[GlobalRef] = field(default_factory=set)
    """Every callable; ``UNRESOLVED`` stands for the result of another call."""
    changed: set[GlobalRef] = field(default_factory=set)
    """Imports that get state or items set, as if they were the pickle's own objects."""
    odd_arguments: set[GlobalRef] = field(default_factory=set)
    """Members of ``LATIN1_ONLY`` called in another way."""
    opcodes: set[str] = field(default_factory=set)
    """Names of all opcodes met."""
    steps: int = 0
    end: int | None = None
    """Offset behind ``STOP``, or ``None`` when it broke off."""
    error: str = ""
    """Why it broke off: a word for the log, not for the page."""

    @property
    def runs_code(self) -> bool:
        """Whether something imported is called or changed, even if the rest is broken."""
        return bool(self.called or self.changed)


class _BrokenError(Exception):
    """A real unpickler would fail here."""


class _Symbol:
    """A value nothing is known of."""


_MARK = _Symbol()
_OTHER = _Symbol()
_CALLED = _Symbol()


class _Opcode(NamedTuple):
    name: str
    argument: str
    """``none``, ``fixed``, ``line``, ``lines`` or ``counted``."""
    width: int
    """Bytes of a fixed argument, or of the length before a counted one."""
    is_signed: bool
    has_mark: bool
    pops: int
    """Values popped; below the mark, if there is one."""
    pushes: int


def _opcode(info: Any) -> _Opcode:
    before = [item.name for item in info.stack_before]
    has_mark = "mark" in before
    # OBJ lists the class behind the mark; everything above the mark goes with it
    pops = before.index("mark") if has_mark else len(before)
    argument, width, is_signed = "none", 0, False
    if info.arg is not None:
        size = info.arg.n
        if size >= 0:
            argument, width = "fixed", size
        elif size == pickletools.UP_TO_NEWLINE:
            argument = "lines" if info.arg.name == "stringnl_noescape_pair" else "line"
        else:
            argument = "counted"
            width = {-2: 1, -3: 4, -4: 4, -5: 8}[size]
            is_signed = size == pickletools.TAKEN_FROM_ARGUMENT4
    return _Opcode(info.name, argument, width, is_signed, has_mark, pops, len(info.stack_after))


_OPCODES = {ord(info.code): _opcode(info) for info in pickletools.opcodes}


def trace(
    source: ByteSource,
    start: int = 0,
    end: int | None = None,
    *,
    spend: Callable[[int], None] | None = None,
) -> Trace:
    """Follow one pickle from ``start`` to its ``STOP`` or to the first thing no unpickler accepts.

    Args:
        source: Where the bytes are; long arguments are stepped over, not read.
        start: Offset of the first opcode.
        end: Offset the pickle may not pass.
        spend: Called with numbers of opcodes; raises to give up.

    Raises:
        OverBudgetError: The stack grew beyond ``MAX_STACK``, or ``spend`` said so.
    """
    machine = _Machine(Cursor(source, start, end))
    found = machine.found
    try:
        while found.end is None:
            machine.step()
            found.steps += 1
            if found.steps % _STEPS_PER_BILL == 0 and spend:
                spend(_STEPS_PER_BILL)
    except TruncatedError:
        found.error = "truncated"
    except _BrokenError as exc:
        found.error = str(exc)
    return found


class _Machine:
    """The stack, the memo, and what was found so far."""

    def __init__(self, cursor: Cursor) -> None:
        self.found = Trace()
        self._cursor = cursor
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self) -> None:
        """Follow one opcode."""
        cursor = self._cursor
        at = cursor.position
        opcode = _OPCODES.get(cursor.take(1)[0])
        if opcode is None:
            raise _BrokenError("unknown_opcode")
        name, kind = opcode.name, opcode.argument
        self.found.opcodes.add(name)
        argument: Any = None
        if kind == "fixed":
            argument = cursor.take(opcode.width)
        elif kind != "none":
            argument = self._argument(opcode)
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, argument, at)
        else:
            self._pop_for(opcode)
            self._stack.extend([_OTHER] * opcode.pushes)
        if len(self._stack) > MAX_STACK:
            raise OverBudgetError(f"more than {MAX_STACK} values on the stack")

    def _argument(self, opcode: _Opcode) -> Any:
        """Read an argument of variable length: ``None`` when it is too long to keep."""
        cursor = self._cursor
        if opcode.argument == "line":
            return cursor.line(MAX_TEXT_BYTES)
        if opcode.argument == "lines":
            return cursor.line(MAX_TEXT_BYTES), cursor.line(MAX_TEXT_BYTES)
        raw = cursor.take(opcode.width)
        length = int.from_bytes(raw, "little", signed=opcode.is_signed)
        if length < 0:
            raise _BrokenError("negative_length")
        if length <= MAX_TEXT_BYTES:
            return cursor.take(length)
        cursor.skip(length)
        return None

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise _BrokenError("stack_underflow")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise _BrokenError("stack_underflow")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                above = self._stack[index + 1 :]
                del self._stack[index:]
                return above
        raise _BrokenError("no_mark")

    def _pop_for(self, opcode: _Opcode) -> None:
        if opcode.has_mark:
            self._pop_to_mark()
        for _ in range(opcode.pops):
            self._pop()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _import(self, reference: GlobalRef, at: int) -> None:
        self.found.imports.setdefault(reference, at)

    def _call(self, target: Any, arguments: Any) -> None:
        reference = target if isinstance(target, GlobalRef) else UNRESOLVED
        self.found.called.add(reference)
        if reference in LATIN1_ONLY and not (
            type(arguments) is tuple and len(arguments) == 2 and arguments[1] == "latin1"
        ):
            self.found.odd_arguments.add(reference)
        self._push(_CALLED)

    def _change(self, target: Any) -> None:
        if isinstance(target, GlobalRef):
            self.found.changed.add(target)

    # one method an opcode, or a family of them

    def do_mark(self, argument: None, at: int) -> None:
        self._push(_MARK)

    def do_pop(self, argument: None, at: int) -> None:
        if not self._stack:
            raise _BrokenError("stack_underflow")
        self._stack.pop()  # a mark, too

    def do_dup(self, argument: None, at: int) -> None:
        self._push(self._top())

    def do_stop(self, argument: None, at: int) -> None:
        self._pop()
        self.found.end = at + 1

    def do_quoted(self, argument: bytes | None, at: int) -> None:
        text = (argument or b"").strip()
        if len(text) >= 2 and text[:1] == text[-1:] and text[:1] in b"'\"" and b"\\" not in text:
            self._push(text[1:-1].decode("latin-1"))
        else:
            self._push(_OTHER)

    def do_escaped(self, argument: bytes | None, at: int) -> None:
        is_plain = argument is not None and b"\\" not in argument
        self._push(argument.decode("latin-1") if argument and is_plain else _OTHER)

    def do_text(self, argument: bytes | None, at: int) -> None:
        try:
            self._push(_OTHER if argument is None else argument.decode("utf-8"))
        except UnicodeDecodeError:
            self._push(_OTHER)

    def do_put(self, argument: bytes | None, at: int) -> None:
        self._memo[_number(argument)] = self._top()

    def do_binput(self, argument: bytes, at: int) -> None:
        self._memo[int.from_bytes(argument, "little")] = self._top()

    def do_memoize(self, argument: None, at: int) -> None:
        self._memo[len(self._memo)] = self._top()

    def do_get(self, argument: bytes | None, at: int) -> None:
        self._recall(_number(argument))

    def do_binget(self, argument: bytes, at: int) -> None:
        self._recall(int.from_bytes(argument, "little"))

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise _BrokenError("no_such_memo")
        self._push(self._memo[index])

    def do_global(self, argument: tuple[bytes | None, bytes | None], at: int) -> None:
        reference = _reference(argument)
        self._import(reference, at)
        self._push(reference)

    def do_stack_global(self, argument: None, at: int) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            reference = UNRESOLVED
        else:
            reference = GlobalRef(module, name)
        self._import(reference, at)
        self._push(reference)

    def do_extension(self, argument: bytes, at: int) -> None:
        self._import(UNRESOLVED, at)
        self._push(UNRESOLVED)

    def do_inst(self, argument: tuple[bytes | None, bytes | None], at: int) -> None:
        reference = _reference(argument)
        arguments = self._pop_to_mark()
        self._import(reference, at)
        self._call(reference, tuple(arguments))

    def do_obj(self, argument: None, at: int) -> None:
        above = self._pop_to_mark()
        if not above:
            raise _BrokenError("stack_underflow")
        self._call(above[0], tuple(above[1:]))

    def do_reduce(self, argument: None, at: int) -> None:
        arguments, target = self._pop(), self._pop()
        self._call(target, arguments)

    def do_newobj_ex(self, argument: None, at: int) -> None:
        self._pop()
        self.do_reduce(None, at)

    def do_build(self, argument: None, at: int) -> None:
        self._pop()
        self._change(self._top())

    def do_fill(self, argument: None, at: int) -> None:
        self._pop_to_mark()
        self._change(self._top())

    def do_setitem(self, argument: None, at: int) -> None:
        self._pop()
        self.do_build(None, at)

    def do_tuple(self, argument: None, at: int) -> None:
        self._push(tuple(self._pop_to_mark()[:3]))

    def do_tuple1(self, argument: None, at: int) -> None:
        self._push((self._pop(),))

    def do_tuple2(self, argument: None, at: int) -> None:
        second, first = self._pop(), self._pop()
        self._push((first, second))


def _number(line: bytes | None) -> int:
    try:
        return int(line or b"")
    except ValueError:
        raise _BrokenError("bad_number") from None


def _reference(lines: tuple[bytes | None, bytes | None]) -> GlobalRef:
    module, name = lines
    if module is None or name is None:
        return UNRESOLVED
    return GlobalRef(module.decode("utf-8", "replace"), name.decode("utf-8", "replace"))


_HANDLERS: dict[str, Callable[[_Machine, Any, int], None]] = {
    "MARK": _Machine.do_mark,
    "POP": _Machine.do_pop,
    "DUP": _Machine.do_dup,
    "STOP": _Machine.do_stop,
    "STRING": _Machine.do_quoted,
    "UNICODE": _Machine.do_escaped,
    **dict.fromkeys(
        ["BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"],
        _Machine.do_text,
    ),
    "PUT": _Machine.do_put,
    **dict.fromkeys(["BINPUT", "LONG_BINPUT"], _Machine.do_binput),
    "MEMOIZE": _Machine.do_memoize,
    "GET": _Machine.do_get,
    **dict.fromkeys(["BINGET", "LONG_BINGET"], _Machine.do_binget),
    "GLOBAL": _Machine.do_global,
    "STACK_GLOBAL": _Machine.do_stack_global,
    **dict.fromkeys(["EXT1", "EXT2", "EXT4"], _Machine.do_extension),
    "INST": _Machine.do_inst,
    "OBJ": _Machine.do_obj,
    **dict.fromkeys(["REDUCE", "NEWOBJ"], _Machine.do_reduce),
    "NEWOBJ_EX": _Machine.do_newobj_ex,
    **dict.fromkeys(["BUILD", "APPEND"], _Machine.do_build),
    **dict.fromkeys(["APPENDS", "SETITEMS", "ADDITEMS"], _Machine.do_fill),
    "SETITEM": _Machine.do_setitem,
    "TUPLE": _Machine.do_tuple,
    "TUPLE1": _Machine.do_tuple1,
    "TUPLE2": _Machine.do_tuple2,
}
