"""Errors of the whole project, by whose fault they are.

Five faults, one class each; a finer class says what to do:

- ``MisuseError``: the caller asked for something that cannot be done (wrong path, wrong order, second writer).
- ``BadInputError``: a source file or an event breaks its format.
- ``DamagedError``: a stored ledger is not what was written.
- ``DiskError``: the machine refused to store or read bytes.
- ``InternalError``: a bug of ours.

Every error may carry ``seq`` (the ledger's sequence number), ``file`` and ``row``. ``exit_status`` is what the command
line returns: 2 when nothing was done, 3 when the store or the disk cannot be trusted.
"""

__all__ = [
    "AdlError",
    "BadInputError",
    "DamagedError",
    "DiskError",
    "EventDecodeError",
    "EventEncodeError",
    "InternalError",
    "MisuseError",
    "NumberError",
    "ReducerError",
    "SequenceError",
]


class AdlError(Exception):
    """Any error of this project. ``fault`` names who can mend it.

    ``message`` is one sentence of what is wrong; ``cure`` is one sentence of what to do, or empty.
    """

    fault = "unknown"
    exit_status = 3

    def __init__(
        self,
        message: str,
        *,
        cure: str = "",
        seq: int | None = None,
        file: str | None = None,
        row: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.seq = seq
        self.file = file
        self.row = row

    def __str__(self) -> str:
        where = [
            part
            for part in (
                self.file,
                f"row {self.row}" if self.row is not None else None,
                f"seq {self.seq}" if self.seq is not None else None,
            )
            if part
        ]
        text = f"{', '.join(where)}: {self.message}" if where else self.message
        return f"{text} {self.cure}".rstrip()


class MisuseError(AdlError):
    """The caller's fault: arguments, paths, permissions, a second writer."""

    fault = "caller"
    exit_status = 2


class SequenceError(MisuseError):
    """An append expected another head than the ledger has. Re-read the head and decide again."""


class BadInputError(AdlError):
    """The input's fault: a file or an event that breaks its format."""

    fault = "input"
    exit_status = 2


class NumberError(BadInputError):
    """A text that is not a plain decimal number, or a number off its grid or out of range."""


class EventEncodeError(BadInputError):
    """An event whose fields break its type, its range or the size limit. It was not stored."""


class EventDecodeError(BadInputError):
    """Bytes that are not one canonical event."""


class ReducerError(BadInputError):
    """An event that cannot be applied to the state before it. ``rule`` names the rule it breaks."""

    def __init__(self, message: str, *, rule: str, seq: int | None = None) -> None:
        super().__init__(message, seq=seq)
        self.rule = rule


class DamagedError(AdlError):
    """A stored ledger that is not what was written: missing, altered or truncated."""

    fault = "store"
    exit_status = 3


class DiskError(AdlError):
    """The operating system refused to read or write. Nothing of the failed batch is stored."""

    fault = "disk"
    exit_status = 3


class InternalError(AdlError):
    """A bug of ours. This should never happen; please report it with the message."""

    fault = "internal"
    exit_status = 3
