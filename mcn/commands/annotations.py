"""The kind `annotations` of `mcn import`: the official files of a published data set."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_verb


def register_annotations(kinds: Verbs) -> None:
    """Add the kind to the parsers of `mcn import`."""
    verb = add_verb(kinds, "annotations", import_annotations)
    verb.add_argument("data_set", help="howto100m, youcook2, msrvtt, crosstask or mining_youtube")
    verb.add_argument("directory", help="folder of the official files (docs/datasets.md)")
    verb.add_argument("--output", type=Path, required=True, help="folder to write into")
    verb.add_argument("--split", default="", help="which published selection (default: the first)")
    verb.add_argument("--captions", default="", help="howto100m: which captions file")


def import_annotations(arguments: Namespace) -> None:
    """Read the official files of a published data set; write its inputs and what was found."""
    from mcn.files import canonical_json
    from mcn.options import parse_options
    from mcn.sources.official import import_annotations
    from mcn.sources.options import OfficialOptions

    values = {
        "kind": arguments.data_set,
        "directory": arguments.directory,
        "split": arguments.split,
        "captions": arguments.captions,
    }
    import_annotations(parse_options(OfficialOptions, canonical_json(values)), arguments.output)
