"""How a command ends: mistakes of the user are one message and an exit code, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from cycada.core.errors import CycadaError, explain_out_of_memory, os_message

STOPPED = 130
"""The exit code after Ctrl-C, which is not an error."""


def run_command(command: Callable[[], object]) -> None:
    """Run a command; what goes wrong is printed as one message, and the process exits with its code."""
    try:
        with explain_out_of_memory():
            command()
    except CycadaError as error:
        print(error if error.exit_code == STOPPED else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(STOPPED)
    except OSError as error:
        print(f"error: {os_message(error)}", file=sys.stderr)
        sys.exit(CycadaError.exit_code)
