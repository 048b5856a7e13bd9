"""The command ``adl``: verbs over a ledger file.

Results go to stdout, messages to stderr. Exit status: 0 clean; 1 findings (a rule of the record is broken, or input was
quarantined); 2 misuse or unusable input, nothing was done; 3 a damaged ledger or a failing disk.
"""

import sys
from collections.abc import Sequence
from importlib import metadata

import cyclopts
import structlog
from cyclopts import App

from events.errors import AdlError, InternalError
from replay.cli import demo, judge, look, record
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
    ("import", record.import_),
    ("log", look.log),
    ("show", look.show),
    ("state", look.state),
    ("verify", judge.verify),
    ("check", judge.check),
    ("audit", judge.audit),
    ("export", record.export),
):
    app.command(verb, name=name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        return int(app(tokens, exit_on_error=False, print_error=True) or 0)
    except cyclopts.CycloptsError:
        return USAGE_STATUS
    except AdlError as error:
        print_error(error, as_json="--json" in tokens)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # The reader of our output has gone, as `adl log | head` does. Keep Python from complaining at exit.
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001  # the last place where a bug of ours can become an error with a cure
        print_error(
            InternalError(f"{type(error).__name__}: {error}.", cure="This is a bug; please report it with the command line."),
            as_json="--json" in tokens,
        )
        return InternalError.exit_status
