"""The command ``adl``: verbs over a ledger file.

Results go to stdout, messages to stderr. Exit status: 0 clean; 1 findings (a rule of the record is broken, or input was
quarantined); 2 misuse or unusable input, nothing was done; 3 a damaged ledger or a failing disk.
"""

import io
import os
import sys
from collections.abc import Sequence
from importlib import metadata

import cyclopts
import structlog
from cyclopts import App

from events.errors import AdlError, DiskError, InternalError
from replay.cli import conform, demo, explain, fit, judge, look, policies, query, queue, record, simulate, stress, whatif
from replay.cli.output import print_error

__all__ = ["app", "main"]

USAGE_STATUS = 2
INTERRUPTED_STATUS = 130

app = App(
    name="adl",
    help="A flight recorder for auto-deleveraging: record, verify, replay and audit every forced close.",
    help_format="plaintext",
    version=lambda: metadata.version("adl-ledger"),
    result_action="return_value",
)
for name, verb in (
    ("demo", demo.demo),
    ("simulate", simulate.simulate),
    ("import", record.import_),
    ("log", look.log),
    ("show", look.show),
    ("state", look.state),
    ("verify", judge.verify),
    ("check", judge.check),
    ("audit", judge.audit),
    ("explain", explain.explain),
    ("fit", fit.fit),
    ("conform", conform.conform),
    ("query", query.query),
    ("queue", queue.queue),
    ("stress", stress.stress_verb),
    ("whatif", whatif.whatif),
    ("export", record.export),
):
    app.command(verb, name=name)
app.command(policies.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    failure: AdlError
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    # A traceback as Python prints it: values of variables are the venue's data, and thousands of lines.
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.processors.add_log_level, console],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        return _status(tokens)
    except AdlError as error:
        failure = error
    except OSError as error:
        failure = DiskError(
            f"{error.strerror or error}.", cure="Check the disk and where the output goes.", file=error.filename
        )
    except Exception as error:  # noqa: BLE001  # the last place where a bug of ours can become an error with a cure
        structlog.get_logger().exception("internal error")
        bug = f"{type(error).__name__}: {error}."
        failure = InternalError(bug, cure="This is a bug; please report it with the lines above.")
    try:
        print_error(failure, as_json="--json" in tokens)
    except OSError:
        print_error(failure, as_json=False)
    return failure.exit_status


def _status(tokens: list[str]) -> int:
    """Run a command and return the status that it, or whoever stopped it, asks for."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character gets a question mark, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    try:
        status = int(app(tokens, exit_on_error=False, print_error=True) or 0)
        sys.stdout.flush()
    except cyclopts.CycloptsError:
        return USAGE_STATUS
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. What was stored is whole; an import goes on when it is run again.\n")
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # The reader of our output has gone, as with `adl log | head`. Nothing may be written at exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status
