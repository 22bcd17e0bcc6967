"""Verbs for what others published, annotations, features and checkpoints, and for folders of action videos."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_group, add_path, add_verb


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "fetch", fetch)
    verb.add_argument("names", nargs="*", metavar="NAME", help="none: list what there is")
    verb.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="folder (weights, or data/NAME; of the hub its cache)",
    )
    verb.add_argument(
        "--registry", type=Path, help="further names, or a mirror's addresses (.yaml)"
    )

    imports = add_group(verbs, "import", "Read what others published into files of this project.")
    _register_annotations(imports)
    _register_features(add_group(imports, "features", "Published features.", "FORM"))

    verb = add_verb(imports, "checkpoint", import_checkpoint, "mcn.options.model:ModelOptions")
    add_path(verb, "source", ".pth of MCN, AVLnet(-Text-Tri) or HowTo100M")
    add_path(verb, "--output", "folder of the model")
    verb.add_argument("--sha256", help="stop unless the file has this sha256")

    comparisons = add_group(verbs, "compare", "Set results beside each other.")
    verb = add_verb(
        comparisons, "encoders", compare_encoders, "mcn.config.configuration:Configuration"
    )
    add_path(verb, "results", "folder of a finished run")
    add_path(verb, "--output", "page (.html); the table .csv is written beside")
    verb = add_verb(comparisons, "features", compare_features)
    add_path(verb, "ours", "shard, or folder of shards or published files")
    add_path(verb, "published", "the same of the published features")
    verb.add_argument("--feature", default="resnet152", help="resnet152 (default), resnext101, ...")
    verb.add_argument(
        "--layout",
        default="howto100m",
        help="form of the published files (howto100m)",
    )
    verb.add_argument("--output", type=Path, help="page with the distributions drawn (.html)")
    verb.add_argument("--worst", type=int, default=10, help="how many videos to list (10)")


def _register_annotations(kinds: Verbs) -> None:
    verb = add_verb(kinds, "annotations", import_annotations)
    verb.add_argument(
        "data_set",
        help="howto100m, youcook2, ... (docs/datasets.md), or module:Class",
    )
    verb.add_argument("directory", help="folder of the official files (docs/datasets.md)")
    add_path(verb, "--output", "folder to write into")
    verb.add_argument("--split", default="", help="which published selection (default: the first)")
    verb.add_argument(
        "--captions",
        nargs="+",
        default=(),
        help="howto100m: which captions file, or one a language",
    )

    verb = add_verb(kinds, "actions", import_actions)
    add_path(verb, "folder", "ClassName/video.avi, as UCF-101 and HMDB-51 have")
    add_path(verb, "--output", "folder for manifest, actions and labels (.csv)")


def _register_features(forms: Verbs) -> None:
    verb = add_verb(forms, "shard", import_shard)
    add_path(verb, "shard", "shard list, results/{dataset}/shards/NNNNN.csv")
    add_path(verb, "source", "folder of published files, or made by `clips`")
    verb.add_argument(
        "--layout",
        required=True,
        help="howto100m (ID_2d.npz, ID_3d.npz, ID_spec.npz, also .npy), crosstask (ID.npy, 3200 columns) or clips",
    )
    verb.add_argument("--feature", required=True, help="resnet152, resnext101, logmel, i3d, vggish")
    add_path(verb, "--output", ".parquet")

    verb = add_verb(forms, "clips", import_clips)
    add_path(verb, "source", "pickle of AVLnet or MCN, or MSRVTT .pth")
    add_path(verb, "--output", "folder")
    verb.add_argument(
        "--rows",
        choices=("pooled", "full"),
        default="pooled",
        help="one row a clip, as MCN, AVLnet and HowTo100M read them, or all, as Everything at Once does",
    )


def fetch(arguments: Namespace) -> None:
    """Get published weights, models and annotations by name: resumed after a cut, and checked."""
    from mcn.published.fetch import fetch, list_names

    if arguments.names:
        fetch(arguments.names, arguments.to, arguments.registry)
    else:
        list_names(arguments.registry)


def import_annotations(arguments: Namespace) -> None:
    """Read the official files of a published data set; write the inputs of a run and an account of them."""
    from mcn.files import canonical_json
    from mcn.options.base import parse_options
    from mcn.options.published import OfficialOptions
    from mcn.sources.adapters import adapter_of, import_annotations

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


def import_shard(arguments: Namespace) -> None:
    """Read one published feature of the videos of a shard list; write a feature shard."""
    from mcn.published.feature_files import import_shard

    import_shard(
        arguments.shard, arguments.source, arguments.layout, arguments.feature, arguments.output
    )


def import_clips(arguments: Namespace) -> None:
    """Read a published file of clips; write its manifest, captions and feature files."""
    from mcn.published.clips import import_clips

    import_clips(arguments.source, arguments.output, arguments.rows)


def import_checkpoint(arguments: Namespace) -> None:
    """Read a published checkpoint; write a model folder that `mcn evaluate` uses like one trained here."""
    from mcn.options.base import parse_options
    from mcn.options.model import ModelOptions
    from mcn.published.import_checkpoint import import_checkpoint

    features = parse_options(ModelOptions, arguments.options).features
    import_checkpoint(arguments.source, arguments.output, arguments.sha256, features)


def compare_encoders(arguments: Namespace) -> None:
    """What the features of each experiment cost, beside its scores: a page and a table."""
    from mcn.config.configuration import Configuration
    from mcn.options.base import parse_options
    from mcn.report.encoders import write_encoders
    from mcn.upkeep.costs import experiment_costs, measure

    settings = parse_options(Configuration, arguments.options)
    costs = experiment_costs(settings, measure(arguments.results, settings))
    write_encoders(costs, settings.datasets, arguments.results, arguments.output)


def compare_features(arguments: Namespace) -> None:
    """Compare two sets of one feature video by video: cosines, lengths, the worst videos, the likeliest cause."""
    from mcn.published.causes import format_comparison
    from mcn.published.compare_features import compare

    comparison = compare(arguments.ours, arguments.published, arguments.feature, arguments.layout)
    print(format_comparison(comparison, arguments.worst))
    if arguments.output:
        from mcn.report.feature_comparison import write_page

        write_page(comparison, arguments.output, arguments.worst)
