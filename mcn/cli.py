"""From narrated videos to a joint space of video, audio and text: one verb for each stage of the workflow.

The workflow's rules call the same verbs.

Exit status: 0 done, 1 the data or the configuration is at fault (got / wanted / do this on standard error), 2 wrong
usage, 130 interrupted, 143 ended by SIGTERM or because what started it has gone. `mcn <verb> --help` lists every
option with its unit and default.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
import threading
from collections.abc import Sequence

from mcn import __version__
from mcn.commands import GROUPS
from mcn.commands.search import with_dashed_query
from mcn.commands.verbs import noting_code, supply_settings
from mcn.errors import UserError, explained
from mcn.lifetime import ending_with_parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    threading.excepthook = _note_failed_thread
    words = sys.argv[1:] if arguments is None else arguments
    options = build_parser().parse_args(with_dashed_query(words))
    try:
        supply_settings(options)
        with ending_with_parent(), noting_code(options):
            status = int(options.run(options) or 0)
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # whoever reads has read enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, PermissionError) as error:
        print(f"mcn {options.verb}: error\n{explained(error)}", file=sys.stderr)
        return 1
    except OSError as error:  # of files that are written, `mcn.files` tells with their names
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or error.filename:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        said = UserError(f"standard output: {error.strerror}", "room for it", "write elsewhere")
        print(f"mcn {options.verb}: error\n{said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"mcn {options.verb}: interrupted", file=sys.stderr)
        return 130


def _note_failed_thread(failed: threading.ExceptHookArgs) -> None:
    """A thread of a library that cannot write, as TensorBoard's on a full disk, says so in one line."""
    if isinstance(failed.exc_value, OSError):
        logging.getLogger(__name__).warning("a thread ended: %s", failed.exc_value)
    else:
        threading.__excepthook__(failed)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every verb."""
    parser = argparse.ArgumentParser(prog="mcn", description=__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"mcn {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for group in GROUPS:
        group.register(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
