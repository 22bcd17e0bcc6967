"""Kinds of `mcn import` that make a data set: `annotations`, from official files; `actions`, from folders of videos."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_verb


def register_annotations(kinds: Verbs) -> None:
    """Add the kinds to the parsers of `mcn import`."""
    verb = add_verb(kinds, "annotations", import_annotations)
    verb.add_argument("data_set", help="howto100m, youcook2, msrvtt, crosstask or mining_youtube")
    verb.add_argument("directory", help="folder of the official files (docs/datasets.md)")
    verb.add_argument("--output", type=Path, required=True, help="folder to write into")
    verb.add_argument("--split", default="", help="which published selection (default: the first)")
    verb.add_argument("--captions", default="", help="howto100m: which captions file")

    verb = add_verb(kinds, "actions", import_actions)
    verb.add_argument("folder", type=Path, help="ClassName/video.avi, as UCF-101 and HMDB-51 have")
    verb.add_argument(
        "--output", type=Path, required=True, help="folder for manifest, actions and labels (.csv)"
    )


def import_annotations(arguments: Namespace) -> None:
    """Read the official files of a published data set; write its inputs and what was found."""
    from mcn.files import canonical_json
    from mcn.options.base import parse_options
    from mcn.options.official import OfficialOptions
    from mcn.sources.official import adapter_of, import_annotations

    values = {
        "kind": arguments.data_set,
        "directory": arguments.directory,
        "split": arguments.split,
        "captions": arguments.captions,
    }
    options = parse_options(OfficialOptions, canonical_json(values))
    import_annotations(adapter_of(options), arguments.output)


def import_actions(arguments: Namespace) -> None:
    """Read folders of action videos, one a class; write their manifest, class texts and labels."""
    from mcn.sources.action_folders import import_action_folders

    import_action_folders(arguments.folder, arguments.output)
