"""Questions between two processes that need not trust each other, over two pipes.

Containers that an operation changes in place are changed on the other side too. Needs the standard
library alone, so that a script can load it by path.
"""

from __future__ import annotations

import io
import json
import operator
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from datachef.reward.metrics.packing import CHANGING, QUIET, Packing, Unpacking
from datachef.reward.metrics.remote import Operation, RemoteObject

MOST_BYTES = 256 << 20


class BrokenChannelError(BaseException):
    """The other side is gone, or says what makes no sense.

    No `Exception`, which tests may expect and swallow.
    """


class Channel:
    """One end of two pipes.

    `shared` is as in `packing.ChannelEnd`; `operations` are those that the other side may ask for.
    """

    def __init__(
        self,
        reading: int,
        writing: int,
        shared: Callable[[], Mapping[str, type]],
        operations: Mapping[str, Operation],
    ) -> None:
        self._reading = reading
        self._writing = writing
        self.shared = shared
        self.operations = dict(operations)
        self._handed: list[object] = []
        self._numbers: dict[int, int] = {}
        self.errors: dict[int, type[BaseException]] = {}
        self.remotes: dict[int, RemoteObject] = {}
        self.broken = False
        self._asking = threading.RLock()  # one question after the other, and those within it

    def ask(self, what: str, /, *args: object, **kwargs: object) -> Any:
        """What an operation gives or raises on the other side.

        What it prints is printed here, and it reads from the text that stands for the input here,
        where the streams of this process have been replaced.
        """
        with self._asking:
            return self._ask(what, list(args), kwargs)

    def _ask(self, what: str, args: list[object], kwargs: dict[str, object]) -> Any:
        packing = Packing(self, [])
        roots = [packing.reference(value) for value in (args, kwargs)]
        packing.finish()
        printed = sys.stdout is not sys.__stdout__
        source = sys.stdin if isinstance(sys.stdin, io.StringIO) else None
        start = source.tell() if source else 0
        typed = source.getvalue()[start:] if source else None
        streams = {"printed": printed, "typed": typed}
        self._send({"ask": what, "roots": roots, "nodes": packing.nodes, **streams})
        reply = self._serve()
        (found,) = self._unpacked(reply, packing.kept).found
        if printed:
            sys.stdout.write(str(reply["printed"]))
        if source is not None and typed is not None:
            taken = reply["taken"]
            if type(taken) is not int or not 0 <= taken <= len(typed):
                raise self._break()
            source.seek(start + taken)
        if reply["raised"]:
            raise found if isinstance(found, BaseException) else self._break()
        return found

    def serve(self) -> None:
        """Answers until the other side is gone."""
        with suppress(BrokenChannelError):
            self._serve()

    def hand_over(self, value: object) -> int:
        """The number by which the other side knows an object of ours."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._handed)
            self._handed.append(value)
        return self._numbers[id(value)]

    def handed(self, number: int) -> object:
        """The object of ours that the other side knows by a number."""
        if number < 0:
            raise IndexError
        return self._handed[number]

    def has_handed(self, value: object) -> bool:
        """Whether the other side knows an object of ours."""
        return id(value) in self._numbers

    def _serve(self) -> dict[str, Any]:
        while True:
            message = self._receive()
            if "ask" not in message:
                return message
            self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        received = self._unpacked(message)
        raised = False
        with _streams(message) as (printed, typed):
            try:
                args, kwargs = received.found
                found = self.operations[message["ask"]](*args, **kwargs)
            except BrokenChannelError:
                raise
            except BaseException as error:  # noqa: BLE001 - raised where it was asked for
                # As in a generator: what ends iterations would end those of the tests, in silence.
                found = RuntimeError(type(error).__name__) if isinstance(error, QUIET) else error
                raised = True
            try:
                reply = self._reply(found, received.made, message["nodes"])
            except BrokenChannelError:
                raise
            except BaseException as error:  # noqa: BLE001 - an object that cannot be looked into
                raised = True
                reply = self._reply(RuntimeError(type(error).__name__), [], [])
        told = {"printed": printed.getvalue(), "taken": typed.tell()}
        self._send({**reply, "raised": raised, **told})

    def _reply(self, found: object, received: list[Any], before: list[Any]) -> dict[str, Any]:
        packing = Packing(self, received)
        roots = [packing.reference(found)]
        changed = []
        for place, value in enumerate(received):
            if before[place][0] in CHANGING:
                node = packing.node(value)
                if node != before[place]:
                    changed.append([place, node])
        packing.finish()
        return {"roots": roots, "nodes": packing.nodes, "changed": changed}

    def _unpacked(self, message: Mapping[str, Any], known: Sequence[Any] = ()) -> Unpacking:
        try:
            unpacking = Unpacking(self, message["nodes"], known)
            for place, node in message.get("changed", ()):
                unpacking.change(known[operator.index(place)], node)
            unpacking.found = [unpacking.value(root) for root in message["roots"]]
            unpacking.finish()
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, ImportError):
            raise self._break() from None
        return unpacking

    def _send(self, message: object) -> None:
        data = json.dumps(message, separators=(",", ":")).encode()
        if len(data) > MOST_BYTES:
            raise MemoryError("a value is too large")
        left = memoryview(struct.pack("<I", len(data)) + data)
        try:
            while left:
                left = left[os.write(self._writing, left) :]
        except OSError:
            raise self._break() from None

    def _receive(self) -> dict[str, Any]:
        (size,) = struct.unpack("<I", self._read(4))
        if size > MOST_BYTES:
            raise self._break()
        try:
            message = json.loads(self._read(size))
        except (ValueError, RecursionError):
            raise self._break() from None
        if not isinstance(message, dict) or not isinstance(message.get("nodes"), list):
            raise self._break()
        told = {"printed", "taken"}
        wanted = {"printed", "typed"} if "ask" in message else {"changed", "raised", *told}
        if not {"roots", *wanted} <= message.keys():
            raise self._break()
        return message

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.read(self._reading, min(size, 1 << 20))
            except OSError:
                part = b""
            if not part:
                raise self._break()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _break(self) -> BrokenChannelError:
        self.broken = True
        return BrokenChannelError()


class _Typed(io.StringIO):
    """What is typed; closed, it can still tell how much of it was read."""

    def close(self) -> None: ...


@contextmanager
def _streams(message: Mapping[str, Any]) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Keeps what is printed, and gives what is typed, where the other side cares."""
    printed, typed = io.StringIO(), _Typed(message["typed"] or "")
    kept = (sys.stdout, sys.stdin)
    if message["printed"]:
        sys.stdout = printed
    if message["typed"] is not None:
        sys.stdin = typed
    try:
        yield printed, typed
    finally:
        sys.stdout, sys.stdin = kept
