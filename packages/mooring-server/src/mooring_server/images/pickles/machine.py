"""Follows a pickle's opcodes with names instead of objects: nothing is imported, nothing is called."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

from mooring_server.images.pickles import arrays
from mooring_server.images.pickles.arrays import DType, Name, Wrapper
from mooring_server.images.pickles.findings import Findings
from mooring_server.images.pickles.memo import LONGEST, Memo
from mooring_server.images.pickles.source import Source, Stopped

MOST_OPCODES = 4_000_000
_DEEPEST = 1_000_000
_LONGEST_TUPLE = 16
_NESTED = 8


class _Unknown:
    """An object that does not matter; the others are texts, numbers, tuples, None and those of `arrays`."""


UNKNOWN = _Unknown()
_MARK = _Unknown()


class Machine:
    """One pickle, from its first opcode to STOP."""

    def __init__(self, source: Source, findings: Findings, depth: int = 0) -> None:
        self._source = source
        self._findings = findings
        self._depth = depth
        self._stack: list[Any] = []
        self._memo = Memo(UNKNOWN)
        self._protocol = 0

    def run(self) -> None:
        """Follow it to its end.

        Raises:
            Stopped: before that; what was seen until then is in the findings.
        """
        findings, stack, read = self._findings, self._stack, self._source.read
        while code := read(1):
            findings.opcodes += 1
            if findings.opcodes > MOST_OPCODES or len(stack) > _DEEPEST:
                raise Stopped(f"only its first {findings.opcodes:,} steps were looked at")
            step = _STEPS.get(code)
            if step is None:
                raise Stopped("it goes on with something that is no pickle")
            try:
                if step(self):
                    return
            except (IndexError, ValueError, OverflowError) as error:
                raise Stopped("it is damaged") from error
        raise Stopped("it ends in the middle")

    # What opcodes do; True ends the pickle.

    def _text(self, size: int) -> Any:
        if size < 0:
            raise Stopped("it is damaged")
        if size > LONGEST:
            self._source.skip(size)
            return UNKNOWN
        return self._source.exactly(size).decode("utf-8", "surrogateescape")

    def _number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._source.exactly(size), "little", signed=signed)

    def _since_mark(self) -> list[Any]:
        stack = self._stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                found = stack[index + 1 :]
                del stack[index:]
                return found
        raise Stopped("it is damaged")

    def _pop(self) -> Any:
        value = self._stack.pop()
        return UNKNOWN if value is _MARK else value

    def _set(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        for key, value in zip(pairs[::2], pairs[1::2], strict=False):
            self._findings.version(key, value)
            if isinstance(target, dict) and isinstance(key, str) and len(target) < _LONGEST_TUPLE:
                target[key] = value

    def _call(self, callee: Any, arguments: Any) -> None:
        self._findings.called(callee)
        self._stack.append(arrays.made(callee, arguments) or UNKNOWN)

    def _build(self) -> None:
        state, target = self._pop(), self._stack[-1]
        if isinstance(target, DType):
            arrays.refined(target, state)
        if not isinstance(target, Wrapper):
            return
        raw = arrays.following(state)
        if raw is None:
            raise Stopped("an array in it is of a kind that is not known here")
        if raw.pickled:
            if self._depth >= _NESTED:
                raise Stopped("pickles lie in each other too deep")
            Machine(self._source, self._findings, self._depth + 1).run()
            return
        if raw.padded:
            self._source.skip(self._number(1))
        self._source.skip(raw.size)

    def _import(self, module: Any, name: Any) -> Name:
        return self._findings.imported(module, name, self._protocol)

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._import(module, name))

    def _line(self) -> str | None:
        line = self._source.line(4 * LONGEST)
        return None if line is None else line[:-1].decode("utf-8", "surrogateescape")

    def _unnamed(self) -> None:
        self._line()
        self._stack.append(UNKNOWN)

    def _inst(self) -> None:
        found = self._import(self._line(), self._line())
        self._since_mark()
        self._call(found, ())

    def _obj(self) -> None:
        parts = self._since_mark()
        self._call(parts[0], tuple(parts[1 : _LONGEST_TUPLE + 1]))

    def _tuple(self, values: list[Any]) -> None:
        known = len(values) <= _LONGEST_TUPLE
        self._stack.append(tuple(values) if known else UNKNOWN)

    def _persistent(self) -> None:
        self._pop()
        self._stack.append(UNKNOWN)

    def _extension(self, size: int) -> None:
        self._number(size)
        self._stack.append(self._import(None, None))

    def _memoise(self, index: int | None = None) -> None:
        value = self._stack[-1]
        kept = isinstance(value, str | Name | DType) or (
            isinstance(value, tuple) and all(isinstance(item, int) for item in value)
        )
        value = value if kept else UNKNOWN
        if index is None:
            self._memo.append(value)
        else:
            self._memo.put(index, value)

    def _proto(self) -> None:
        self._protocol = self._number(1)
        if self._protocol > pickle.HIGHEST_PROTOCOL:
            raise Stopped(f"protocol {self._protocol} is not known here")
        self._findings.protocol = max(self._protocol, self._findings.protocol or 0)

    def _dict(self) -> None:
        pairs = self._since_mark()
        self._stack.append({})
        self._set(pairs)

    def _pair(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _several(self) -> None:
        pairs = self._since_mark()
        self._set(pairs)

    def _stack_before(self, size: int) -> list[Any]:
        if size > len(self._stack):
            raise Stopped("it is damaged")
        found = self._stack[len(self._stack) - size :]
        del self._stack[len(self._stack) - size :]
        return found

    def _reduce(self) -> None:
        arguments, callee = self._pop(), self._pop()
        self._call(callee, arguments)

    def _new_with_keywords(self) -> None:
        self._pop()
        self._reduce()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _written(self, op: pickletools.OpcodeInfo) -> None:
        """A number or text of protocol 0, read by the standard library's own reader."""
        line = self._source.line(4 * LONGEST)
        if line is None or op.arg is None:
            self._stack.append(UNKNOWN)
            return
        value = op.arg.reader(io.BytesIO(line))
        self._stack.append(value if isinstance(value, str | int) else UNKNOWN)

    def _long(self, width: int) -> None:
        size = self._number(width, signed=width == 4)
        if size < 0:
            raise Stopped("it is damaged")
        if size > 8:
            self._source.skip(size)
            self._stack.append(UNKNOWN)
        else:
            self._stack.append(self._number(size, signed=True))

    def _bytes(self, width: int) -> None:
        self._source.skip(self._number(width))
        self._stack.append(UNKNOWN)

    def _other(self, op: pickletools.OpcodeInfo) -> None:
        """An opcode of which only its effect on the stack's height matters."""
        if op.arg is not None:
            if op.arg.n < 0:
                raise Stopped("it is damaged")
            self._source.skip(op.arg.n)
        before = op.stack_before
        if pickletools.markobject in before:
            self._since_mark()
            before = before[: before.index(pickletools.markobject)]
        self._stack_before(len(before))
        self._stack.extend(UNKNOWN for _ in op.stack_after)

    @staticmethod
    def steps() -> dict[bytes, Step]:
        """What each opcode does."""
        special: dict[str, Step] = {
            "PROTO": Machine._proto,
            "FRAME": lambda self: self._source.skip(8),
            "STOP": lambda _self: True,
            "MARK": lambda self: self._push(_MARK),
            "POP": lambda self: self._stack.pop() and None,
            "POP_MARK": lambda self: self._since_mark() and None,
            "DUP": lambda self: self._push(self._stack[-1]),
            "NONE": lambda self: self._push(None),
            "SHORT_BINUNICODE": lambda self: self._push(self._text(self._number(1))),
            "BINUNICODE": lambda self: self._push(self._text(self._number(4))),
            "BINUNICODE8": lambda self: self._push(self._text(self._number(8))),
            "SHORT_BINSTRING": lambda self: self._push(self._text(self._number(1))),
            "BINSTRING": lambda self: self._push(self._text(self._number(4, signed=True))),
            "BININT": lambda self: self._push(self._number(4, signed=True)),
            "BININT1": lambda self: self._push(self._number(1)),
            "BININT2": lambda self: self._push(self._number(2)),
            "LONG1": lambda self: self._long(1),
            "LONG4": lambda self: self._long(4),
            "SHORT_BINBYTES": lambda self: self._bytes(1),
            "BINBYTES": lambda self: self._bytes(4),
            "BINBYTES8": lambda self: self._bytes(8),
            "BYTEARRAY8": lambda self: self._bytes(8),
            "EMPTY_TUPLE": lambda self: self._push(()),
            "TUPLE1": lambda self: self._tuple(self._stack_before(1)),
            "TUPLE2": lambda self: self._tuple(self._stack_before(2)),
            "TUPLE3": lambda self: self._tuple(self._stack_before(3)),
            "TUPLE": lambda self: self._tuple(self._since_mark()),
            "EMPTY_DICT": lambda self: self._push({}),
            "DICT": Machine._dict,
            "SETITEM": Machine._pair,
            "SETITEMS": Machine._several,
            "GLOBAL": lambda self: self._push(self._import(self._line(), self._line())),
            "STACK_GLOBAL": Machine._stack_global,
            "INST": Machine._inst,
            "OBJ": Machine._obj,
            "EXT1": lambda self: self._extension(1),
            "EXT2": lambda self: self._extension(2),
            "EXT4": lambda self: self._extension(4),
            "REDUCE": Machine._reduce,
            "NEWOBJ": Machine._reduce,
            "NEWOBJ_EX": Machine._new_with_keywords,
            "BUILD": Machine._build,
            "PERSID": lambda self: self._unnamed(),
            "BINPERSID": Machine._persistent,
            "MEMOIZE": Machine._memoise,
            "PUT": lambda self: self._memoise(int(self._line() or "")),
            "BINPUT": lambda self: self._memoise(self._number(1)),
            "LONG_BINPUT": lambda self: self._memoise(self._number(4)),
            "GET": lambda self: self._push(self._memo.get(int(self._line() or ""))),
            "BINGET": lambda self: self._push(self._memo.get(self._number(1))),
            "LONG_BINGET": lambda self: self._push(self._memo.get(self._number(4))),
        }
        found: dict[bytes, Step] = {}
        for op in pickletools.opcodes:
            code = op.code.encode("latin-1")
            if op.name in special:
                found[code] = special[op.name]
            elif op.name in {"INT", "LONG", "FLOAT", "STRING", "UNICODE"}:
                found[code] = lambda self, op=op: self._written(op)  # type: ignore[misc]
            else:
                found[code] = lambda self, op=op: self._other(op)  # type: ignore[misc]
        return found


Step = Callable[[Machine], object]
_STEPS = Machine.steps()
