"""Settings, names and file lists that the rules share. No rule is defined here."""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from mcn.config.checks import check_manifests
from mcn.config.configuration import configure, write_settings
from mcn.errors import UserError, several
from mcn.features.embedded import missing_packages
from mcn.features.own import own_problems
from mcn.features.registry import encoder_row, missing_libraries, model_problems
from mcn.files import canonical_json
from mcn.layout import placed, vocabulary_file
from mcn.lifetime import note_head
from mcn.options.decode import FrameOptions
from mcn.options.published import IMPORTED, OF_CLIPS
from mcn.upkeep.widths import width_problems
from mcn.config.left_out import leave_out
from mcn.config.one_configuration import require_one_configuration
from mcn.config.warnings import language_warnings, unseen_warnings
from mcn.config.jobs import arguments, code_of, rows_of_frozen
from mcn.options.tasks import TASKS
from mcn.sources.official import ACCOUNTS, provenance
from mcn.sources.outside import addresses, digest_of, is_known
from mcn.media.remote import ask_all, keep_answers
from mcn.upkeep.code_changes import change_lines


def results_folder():
    """The folder of results: what `replace_prefix` makes of `results/` where another workflow takes the rules over."""
    paths = workflow.modifier.path_modifier
    if paths.prefix:
        raise WorkflowError(
            f"got: prefix: {paths.prefix!r}, which would move the files that a configuration names too; wanted: a place"
            f' for the results; do this: replace_prefix: {{"results/": "{paths.prefix}results/"}}'
        )
    return paths.replace_prefix("results/").rstrip("/")


results = results_folder()
settings_file = f"{results}/settings.json"  # what the jobs read; the head writes it
note_head()
try:
    require_one_configuration(config, workflow.is_main_process)
    present, left_out = leave_out(config)
    settings = configure(present, left_out=bool(left_out))
    adapters = settings.adapters()
    wrong = own_problems(settings.features) if workflow.is_main_process else []
    if wrong:
        raise several(wrong, "encoders that keep their contract", "mend them")
    used = settings.features, settings.used_features()
    absent = [*missing_packages(*used), *missing_libraries(*used)]
    if absent:
        raise several(absent, "the packages of these features", "install them")
    unfit = []
    if workflow.is_main_process:
        unfit = model_problems(*used) + width_problems(settings, Path(results))
    if unfit:
        raise several(unfit, "models that fit their features", "correct these rows")
except (UserError, ValueError) as error:
    raise WorkflowError(f"config.yaml\n{error}")

if workflow.is_main_process:
    for line in left_out + settings.unscored():
        logger.warning(line)
    asked = [
        address
        for one in settings.datasets.values()
        for address in addresses(one.manifest)
    ]
    ask_all(asked, settings.downloads)
elif not Path(settings_file).exists():  # a job that shares no disk with the head
    write_settings(settings, Path(settings_file))


epochs = settings.epoch_models()


def one_of(names):
    """A pattern of a wildcard that is one of `names`; without any, one that nothing fits."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    shard=r"\d{5}",
    dataset=one_of(settings.datasets),
    experiment=one_of([*settings.experiments, *epochs]),
    feature=one_of(settings.features),
    evaluation=one_of(
        [name for one in settings.datasets.values() for name in one.evaluations]
    ),


def start_run():
    """Stop before the first job where a manifest cannot be used; write the settings that jobs read.

    Every problem of every manifest is named at once.
    """
    try:
        check_manifests(settings)
        write_settings(settings, Path(settings_file))
        keep_answers()
    except UserError as error:
        raise WorkflowError(str(error))


def say_what_other_code_made():
    """Name the rules whose shards other code made than there is now, and what to do about it."""
    for line in change_lines(Path(results), settings, Path.cwd()):
        logger.warning(line)


def say_what_encoders_do_not_know():
    """Name texts in languages that their encoder does not know, and files of sound that encoders of pictures read."""
    for line in [*language_warnings(settings), *unseen_warnings(settings)]:
        logger.warning(line)


def recipe(stage, **fixed):
    """A parameter: what the verb of a stage is told, which is what the stage is remade for (mcn/config/reruns.py).

    fixed: wildcards that the rule does not have.
    """

    def told(wildcards):
        found = {**dict(wildcards.items()), **fixed}
        return arguments(settings, stage, found, settings_file)

    return told


def code(stage, **fixed):
    """A parameter: the digest of the code that computes a stage, so that an edit of it remakes the stage."""

    def digest(wildcards):
        return code_of(
            settings, stage, {**dict(wildcards.items()), **fixed}, Path.cwd()
        )

    return digest


def official_sets():
    """Adapter of a published data set -> names of the data sets that it imports."""
    sets = {}
    for name, adapter in adapters.items():
        sets.setdefault(type(adapter), []).append(name)
    return sets


def adapter_name(adapter):
    """The name of an adapter among the rules: its module, and its class where the user wrote it."""
    file = adapter.__module__.removeprefix("mcn.sources.")
    own = f"{file}_{adapter.__name__}".replace(".", "_")
    return file if file in provenance() else own


def content(*sources):
    """A parameter: the digest of files from outside, so that an edit is noticed whatever its time.

    sources: paths, lists of them or input functions. What a parameter takes from `input` Snakemake does not record.
    """

    def digest(wildcards):
        found = [one(wildcards) if callable(one) else one for one in sources]
        return digest_of(found)

    return digest


def growing(amount, each=0):
    """A resource of a job, MB or minutes: as much again with every attempt, where a profile retries.

    each: so much more for every thread beyond two.
    """

    def resource(wildcards, attempt, threads):
        return (amount + each * max(0, threads - 2)) * attempt

    return resource


def cores_among(jobs, least=2):
    """Threads of a job of which there are so many: its part of --cores where these are fewer, at least `least`."""
    return max(least, (workflow.resource_settings.cores or 1) // max(1, jobs))


def decoded(path):
    """`path`, marked temporary unless the configuration keeps decoded shards."""
    return path if settings.keep_decoded else temp(path)
