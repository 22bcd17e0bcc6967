"""The verb that shows answers in a browser: serve."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_verb
from mcn.errors import UserError


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "serve", serve)
    verb.add_argument("directory", type=Path, metavar="DIR", help="folder that `mcn run` wrote")
    verb.add_argument("--dataset", help="which data set, where the folder has several (the first)")
    verb.add_argument(
        "--port", type=int, help="port to listen at, 0: any (the first free one from 8000)"
    )
    verb.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; any but this machine's own makes the page want a token (127.0.0.1)",
    )


def serve(arguments: Namespace) -> None:
    """Serve a page to search a folder of videos with, and its API; prints its address, ends with Ctrl-C."""
    try:
        from mcn.search.serve.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        cure = "pip install 'mcn[serve]'"
        raise UserError(f"no package {error.name}", "the packages of the page", cure) from None
    serve(arguments.directory, arguments.host, arguments.port, arguments.dataset)
