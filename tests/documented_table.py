"""How each command of the pages is run by tests/test_documented_commands.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """How a command is run: `place` is `finished` (after a small run) or `planned` (official files, nothing made yet).

    replace: what stands for placeholders and for the demo's names; add: arguments put behind the command's own;
    says: words of the output; makes: a file that is there afterwards.
    """

    place: str = "finished"
    replace: tuple[tuple[str, str], ...] = ()
    add: str = ""
    says: str = ""
    makes: str = ""
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotRun:
    """Why a command is not run here, and what runs it instead."""

    reason: str


def done(*replace: tuple[str, str], says: str = "", makes: str = "") -> Run:
    """Run as it stands, in the finished project."""
    return Run("finished", replace, says=says, makes=makes)


def plan(*replace: tuple[str, str], says: str = "Job stats", extras: tuple[str, ...] = ()) -> Run:
    """A dry run: its weights and videos cannot be downloaded where the tests run."""
    return Run(
        "planned", (*replace, ("snakemake ", "snakemake --dry-run ")), says=says, extras=extras
    )


def help_of(says: str) -> Run:
    """With `--help`, since its arguments stand for files of the reader's own; a test of its stage runs it."""
    return Run("finished", add="--help", says=says)


INSTALLS = NotRun("installs packages")
FETCHES = NotRun(
    "needs the internet: tests/test_published_fetch.py asks a server on the loopback address"
)
BUCKET = NotRun("needs a bucket: tests/test_storage.py has a server of its own")
IMAGE = NotRun(
    "needs a registry of images: tests/test_wheel.py runs the image's command in a sandbox"
)
SLURM = NotRun("needs a cluster: tests/test_slurm.py")
OURS = "results/small/features/resnet152"
SMALL = ("results/demo_test", "results/small")
COMPARE_OURS = done(("OURS", OURS), ("PUBLISHED", OURS), says="the same")

TABLE: dict[str, Run | NotRun] = {
    # README.md
    "scripts/setup.sh demo": INSTALLS,
    'snakemake -s "$(mcn workflow)" --cores 2 --dry-run': done(says="Nothing to be done"),
    "mcn init": done((" init", " init own"), makes="own/config.yaml"),
    "scripts/demo.sh": NotRun(
        "installs; the run of the demo that follows is tests/test_workflow.py"
    ),
    "scripts/demo.sh --config 'runtime={precision: native_bf16}'": NotRun(
        "takes minutes; the precision is tested in tests/test_features_runtime.py"
    ),
    "scripts/test.sh": NotRun("runs this test"),
    ". .venv/bin/activate": NotRun("the tests run in an activated environment"),
    "snakemake --cores 2": done(says="Nothing to be done"),
    "snakemake --cores 2 --forcerun resnext101 -- resnext101_shards": done(says="(100%) done"),
    "snakemake --cores 2 verify": done(says="(100%) done"),
    "snakemake --report results/workflow.html": done(makes="results/workflow.html"),
    "snakemake --cores 2 results/index/mcn/demo_test/index.json": done(
        ("demo_test", "small"), makes="results/index/mcn/small/index.json"
    ),
    'mcn search . "chop the onion"': NotRun("tests/test_search_answers.py asks a folder"),
    "mcn serve .": NotRun("serves until Ctrl-C: tests/test_serve_server.py"),
    "mcn run ~/videos --output answers": help_of("folder of videos"),
    'mcn search answers "stir the soup"': help_of("what to look for"),
    "mcn doctor my/manifest.csv": Run("planned", says="soup"),
    "snakemake --cores 2 --configfile config.yaml config/own_videos.yaml": plan(),
    "snakemake --cores 2 partition": done(says="Nothing to be done"),
    "snakemake table1 table2 --cores 8 --configfile config.yaml config/paper.yaml": plan(),
    "mcn compare features OURS PUBLISHED": COMPARE_OURS,
    "pip install -e '.[slurm]'": INSTALLS,
    "pip install -e '.[cloud]'": INSTALLS,
    'pip install "mcn[cloud]"': INSTALLS,
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu": INSTALLS,
    "pip install pandas duckdb polars": INSTALLS,
    "snakemake --profile profiles/slurm": plan(extras=("slurm",)),
    "snakemake --cores N retry": done(("N", "2")),
    "mcn <verb> --help": NotRun("test_every_verb_has_help_that_says_what_it_does"),
    # published.md, datasets.md
    "mcn fetch": done(says="GoogleNews"),
    "mcn fetch resnext101 word2vec miech": FETCHES,
    "mcn fetch youcook2 crosstask mining_youtube": FETCHES,
    "mcn fetch resnext101 word2vec": FETCHES,
    "mcn fetch youcook2": FETCHES,
    "mcn fetch hf:OWNER/NAME@REVISION": FETCHES,
    "mcn fetch --registry mirror.yaml NAME": FETCHES,
    # encoders.md
    'pip install "mcn[encoders]"': INSTALLS,
    "pytest -s tests/test_features_libraries.py tests/test_features_libraries_texts.py": NotRun(
        "the tests run it"
    ),
    "python benchmarks/library_encoders.py": NotRun("takes minutes"),
    # search.md
    "mcn run": NotRun("no command: the form of one"),
    "mcn run FOLDER --output DIR": help_of("folder of videos"),
    "mcn search": NotRun("no command: the form of one"),
    "mcn study": NotRun("no command: the form of one"),
    'mcn search answers "stir the soup" --limit 5': help_of("what to look for"),
    'mcn search answers "soup" --said': help_of("what was said"),
    'mcn search answers "a dog on a beach" --seen --one-per-video': help_of("what is seen"),
    'mcn search answers "soup" --json': help_of("print JSON"),
    'mcn search answers "soup" --clip cut': help_of("cut the moments out"),
    "mcn search FOLDER QUERY --dataset NAME": help_of("data set to ask"),
    "mcn export index answers index.parquet --to parquet": help_of("parquet"),
    "mcn export model answers/results/models/conse conse": help_of("card"),
    "mcn export onnx answers/results/models/conse towers --encoders": help_of("ONNX"),
    'pip install "mcn[search]"': INSTALLS,
    'pip install "mcn[onnx]"': INSTALLS,
    # docs/performance.md
    "python -m benchmarks --videos FOLDER --rivals FOLDER --whole": NotRun("takes 19 minutes"),
    "python -m benchmarks --videos FOLDER --rivals FOLDER": NotRun(
        "minutes: tests/test_benchmarks.py runs a row"
    ),
    "python benchmarks/gpu.py": NotRun("a GPU: tests/test_benchmarks.py runs it on a processor"),
    # docs/speech.md
    'pip install "mcn[speech]"': INSTALLS,
    "mcn transcribe --help": Run("finished", says="voice_threshold"),
    # configuration.md
    "mcn --help": done(says="doctor"),
    "mcn --version": done(says="mcn"),
    "mcn <verb> --options": NotRun("no command: the form of one"),
    "mcn accept NAME": Run(replace=((" NAME", ""),), add="--help", says="accept"),
    "python -m mcn.config.reference": NotRun(
        "writes the page and the schema; their drift is a test"
    ),
    # CONTRIBUTING.md
    "pip install --require-hashes -r requirements-hashed.txt": INSTALLS,
    "python -m build": NotRun("tests/test_wheel.py builds"),
    "scripts/setup.sh dev": INSTALLS,
    "pre-commit install": NotRun(
        "writes into .git; the hooks are checked by tests/test_project.py"
    ),
    "pytest tests/test_clustering.py": NotRun("is some of the tests"),
    "pytest tests/test_partition.py -k one_more_video": NotRun("is one of the tests"),
    "pytest -m browser": NotRun("are tests"),
    "python -m tests.kill_machine": NotRun(
        "kills runs for minutes; tests/test_crashes.py does some of it"
    ),
    "python -m tests.media_matrix": NotRun(
        "takes minutes; tests/test_media_matrix.py does a part of it"
    ),
    "python scripts/pictures.py": NotRun("wants a finished demo and Chromium"),
    "scripts/fuzz.sh 10": NotRun("searches for minutes; tests/test_fuzz.py runs a little of it"),
    "scripts/test.sh --all": NotRun("runs this test"),
    ".ci/run": NotRun("runs this test"),
    # architecture.md
    "mcn <verb>": NotRun("no command: the form of one"),
    "snakemake --set-resources train:processes=8": plan(
        ("train:processes=8", "train:processes=8 --cores 8")
    ),
    "snakemake --cores N resnet152_shards": done(("N", "2"), says="Nothing to be done"),
    # cluster.md
    "squeue --me --noheader --format '%i %j' | awk '$2 ~ /^mcn/ {print $1}' | xargs -r scancel": SLURM,
    "snakemake --profile profiles/slurm --unlock": Run("planned", extras=("slurm",)),
    "snakemake --cores 2 --default-storage-provider s3 --default-storage-prefix s3://my-bucket/my-run": BUCKET,
    "snakemake --profile profiles/kubernetes": BUCKET,
    "snakemake --profile profiles/aws_batch": BUCKET,
    "apptainer build mcn.sif containers/mcn.def": NotRun("needs Apptainer and a registry"),
    "apptainer run --nv mcn.sif --cores 16": NotRun("needs Apptainer and a registry"),
    "docker build --file containers/Dockerfile --tag mcn .": IMAGE,
    'docker run --read-only --tmpfs /tmp --user "$(id -u)" --volume "$PWD":/data mcn --cores 2 --dry-run': IMAGE,
    'docker run --read-only --tmpfs /tmp --user "$(id -u)" --volume "$PWD":/data --volume ~/videos:/videos:ro '
    "--entrypoint mcn mcn run /videos --output answers": IMAGE,
    "pytest -m slurm": NotRun("is one of the tests"),
    # datasets.md
    "snakemake --cores 8 --configfile config.yaml config/youcook2.yaml": plan(
        says="prepare_captions"
    ),
    "snakemake --cores 8 --configfile config.yaml config/youcook2.yaml -- import_annotations": plan(),
    "snakemake --cores 8 --configfile config.yaml config/howto100m.yaml config/youcook2.yaml "
    "config/msrvtt.yaml": plan(says="mcn_howto100m/msrvtt.retrieval"),
    "snakemake --cores 8 --configfile config.yaml config/youcook2.yaml --forcerun import_youcook2 "
    "-- import_annotations": plan(),
    "snakemake --cores 8 --configfile config.yaml config/youcook2.yaml -- partition": plan(),
    "mcn import annotations youcook2 data/youcook2 --output imported --split validation_clips": Run(
        "planned", makes="imported/accounting.json"
    ),
    # demo.md
    "mcn demo": help_of("Render"),
    "snakemake --cores 2 --configfile config.yaml config/demo_seeds.yaml": plan(says="mcn_seed3"),
    # docs/encoders.md
    'pip install "mcn[embedded]"': INSTALLS,
    "python benchmarks/queries.py results/models/conse results/mine queries.tsv": help_of(
        "queries"
    ),
    "snakemake --cores 2 --configfile config.yaml config/embedded.yaml": plan(says="freeze"),
    "snakemake --cores 2 --configfile config.yaml config/embedded.yaml -- encoders": plan(
        says="encoders"
    ),
    # languages.md
    "snakemake --cores 2 --configfile config.yaml config/languages.yaml": plan(says="train_cbow"),
    "python benchmarks/stages.py results": done(says="resnext101"),
    # evaluation.md
    "mcn import actions data/ucf101/videos --output data/ucf101": Run(
        "planned", makes="data/ucf101/labels.csv"
    ),
    "snakemake --cores 8 --configfile config.yaml config/actions.yaml": plan(says="recognition"),
    "mcn table table1 results --output results/table1.html": done(makes="results/table1.csv"),
    "mcn table reference results --output results/reference.html": done(
        makes="results/reference.md"
    ),
    "mcn evaluate retrieval": help_of("--output"),
    "mcn evaluate localization": help_of("--output"),
    "mcn evaluate alignment": help_of("--probabilities"),
    "mcn evaluate recognition": help_of("--output"),
    'pip install "mcn[scoreboard]"': INSTALLS,
    'mcn scoreboard results/models/conse --benchmark "MVEB(text, video)" --output results/mteb': help_of(
        "--benchmark"
    ),
    "snakemake --cores 8 --configfile config.yaml config/howto100m.yaml config/youcook2.yaml -- sweep": plan(
        says="mcn_howto100m_e30"
    ),
    "snakemake -n": done(says="Nothing to be done"),
    "mcn align": help_of("--rows"),
    "mcn align --rows": done((" --rows", " --help"), says="--rows"),
    "mcn align --rows seconds": help_of("--rows"),
    "mcn align probs --classes weakYouTube_dict.txt --lengths weakYouTube_length.txt --transcripts "
    "grammar --truth gt --output out": help_of("--truth"),
    # faults.md
    # objectives.md
    "mcn study config.yaml config/comparison.yaml --cores 2": help_of("--plan-only"),
    "mcn study config.yaml config/switches.yaml --cores 2": help_of("--plan-only"),
    # study.md
    "mcn study config.yaml config/study.yaml --cores 2 --plan-only": help_of("--plan-only"),
    "mcn study config.yaml config/study.yaml --cores 2 --planned docs/study_plan.yaml": help_of(
        "--planned"
    ),
    "python benchmarks/objectives.py results": Run(
        replace=((" results", ""),), add="--help", says="results"
    ),
    # own_videos.md
    "cp config/own_videos.yaml my/config.yaml": Run("planned", makes="my/config.yaml"),
    "snakemake --cores 2 --configfile config.yaml my/config.yaml": plan(),
    "mcn doctor manifest.csv": Run("planned", (("manifest", "my/manifest"),), says="soup"),
    "snakemake --cores 2 --configfile config.yaml my/config.yaml -- resnet152_shards": plan(),
    "mcn import actions": help_of("ClassName"),
    # published.md
    "mcn compare features results/howto100m/features/resnet152 data/howto100m/features --output compare.html": done(
        ("results/howto100m/features/resnet152", OURS),
        ("data/howto100m/features", OURS),
        makes="compare.html",
    ),
    "python benchmarks/what_equals_what.py results": Run(
        replace=((" results", ""),), add="--help", says="results"
    ),
    "mcn doctor": help_of("--video"),
    "mcn compare features": help_of("--layout"),
    "mcn import checkpoint data/e16.pth --output results/models/mcn_released": help_of("--sha256"),
    # scale.md
    "mcn estimate my/manifest.csv --benchmarks benchmarks/demo_two_cores.csv --sample 100": Run(
        "planned", says="resnet152"
    ),
    "snakemake --cores N results/NAME/features/{resnet152,resnext101,davenet}/00000.parquet": done(
        ("N ", "2 "), ("NAME", "small"), says="(100%) done"
    ),
    "python benchmarks/stages.py results --output results/benchmarks/stages.csv": done(
        makes="results/benchmarks/stages.csv"
    ),
    "snakemake --cores 16 --resources disk_mb=400000 --set-resources decode_frames:disk_mb=100000 "
    "resnet152:disk_mb=100000 resnext101:disk_mb=100000": plan(),
    "python benchmarks/planning.py": NotRun("plans 1.2 million videos, for minutes"),
    "snakemake --profile profiles/slurm --configfile config.yaml config/howto100m.yaml "
    "-- results/howto100m/features/{resnet152,resnext101}/000{00..49}.parquet": plan(
        ("00..49", "00..01"), extras=("slurm",)
    ),
    "snakemake --dry-run": plan(("snakemake --dry-run", "snakemake ")),
    # serve.md
    "mcn serve": NotRun("serves until Ctrl-C: tests/test_serve_server.py"),
    "mcn serve answers": NotRun("serves until Ctrl-C: tests/test_serve_server.py"),
    "mcn serve answers --host 0.0.0.0": NotRun("serves until Ctrl-C: tests/test_serve_server.py"),
    "python benchmarks/serve.py answers --users 50 --seconds 60": NotRun("takes a minute"),
    # commands.md, module.md, speech.md
    "python -m mcn.commands.reference": NotRun("writes the page; its drift is a test"),
    "mcn VERB --help": NotRun("test_every_verb_has_help_that_says_what_it_does"),
    "mcn prepare videos": help_of("manifest"),
    "mcn evaluate": NotRun("no command: the form of one"),
    'snakemake -s "$(mcn workflow)"': done(
        ("snakemake ", "snakemake --cores 1 "), says="Nothing to be done"
    ),
    "mcn workflow": done(says="Snakefile"),
    'mcn search small "..."': NotRun("a folder of another workflow's module"),
    "mcn serve small": NotRun("serves until Ctrl-C: tests/test_serve_server.py"),
    "snakemake sweep": NotRun("no command: the form of one"),
    "snakemake --unlock": done(),
    "mcn verify": help_of("results"),
}
