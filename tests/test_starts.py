"""Jobs that run no network start without PyTorch, which takes seconds: by what verbs import, and by running them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from mcn.features.registry import PUBLISHED_WEIGHTS
from mcn.features.timm_pictures import require_timm_name
from tests.media_files import make

ROOT = Path(__file__).parents[1]

# functions of mcn/commands that run a network, or take a model's weights apart
NETWORK = {
    *("seed_weights", "train", "freeze", "take_epoch", "import_checkpoint", "export_onnx"),
    *("scoreboard", "index", "index_passages", "trial", "judge"),
    "_run",  # evaluates a model
    "verify",  # loads every model
}
WATCHED = """
import importlib, sys
for line in sys.stdin:
    name, *modules = line.split()
    for module in modules:
        importlib.import_module(module)
    heavy = {heavy} & set(sys.modules)
    if heavy:
        sys.exit(f"{{name}} imports {{heavy}}")
"""
WITHOUT_TORCH = """
import sys
class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise AssertionError("PyTorch is imported")
sys.meta_path.insert(0, Refusal())
from mcn.cli import main
for line in sys.stdin:
    words = __import__("json").loads(line)
    print(words[:2], file=sys.stderr)
    if main(words):
        sys.exit(1)
"""


PUBLISHED_ROWS = """
import sys, yaml
from mcn.config.configuration import configure
from mcn.features.registry import PUBLISHED_WEIGHTS, model_problems
values = yaml.safe_load(open("config.yaml"))
values["features"]["resnet152"]["weights"] = PUBLISHED_WEIGHTS
settings = configure(values)
assert not model_problems(settings.features, settings.used_features())
assert "torch" not in sys.modules
"""


def imports_of_verbs() -> dict[str, list[str]]:
    """Function of mcn/commands -> the modules that it imports when it runs."""
    found = {}
    for path in sorted((ROOT / "mcn/commands").glob("*.py")):
        for function in ast.parse(path.read_text()).body:
            if isinstance(function, ast.FunctionDef):
                nodes = list(ast.walk(function))
                names = [one.module or "" for one in nodes if isinstance(one, ast.ImportFrom)]
                names += [
                    alias.name
                    for one in nodes
                    if isinstance(one, ast.Import)
                    for alias in one.names
                ]
                if names:
                    found[f"{path.stem}.{function.name}"] = names
    return found


def require(program: str, lines: list[str]) -> None:
    told = "\n".join(lines)
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=told,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_verbs_without_a_network_import_no_torch() -> None:
    imports = imports_of_verbs()
    assert {name.partition(".")[2] for name in imports} > NETWORK
    others = {name: used for name, used in imports.items() if name.partition(".")[2] not in NETWORK}
    lines = [" ".join([name, *used]) for name, used in others.items()]
    require(WATCHED.format(heavy={"torch"}), lines)


def test_a_plan_of_the_published_weights_imports_no_torch() -> None:
    require_timm_name(PUBLISHED_WEIGHTS.removeprefix("timm:"))
    require(PUBLISHED_ROWS, [])


def test_decoding_and_texts_load_no_library_that_they_do_not_use() -> None:
    """Of what every job of the workflow loads to name its code, too."""
    imports = imports_of_verbs()
    wanted = ("verbs.noting_code", "verbs.supply_settings", "data.decode", "features.extract")
    lines = [" ".join([name, *imports[name]]) for name in wanted]
    require(WATCHED.format(heavy={"torch", "pandas", "gensim", "scipy", "librosa"}), lines)


def test_a_run_up_to_features_without_a_network_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("start,end,text\n0,2,cut the onion\n")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"video_id,path,narration\na,{make('plain.mp4')},lines.csv\n")
    videos, narration, place = tmp_path / "v.parquet", tmp_path / "n.parquet", tmp_path / "set"
    vectors = str(ROOT / "mcn/demo/assets/glove_demo.bin")
    options = json.dumps({"cache": str(tmp_path / "cache"), "vectors": vectors})
    listed = place / "shards/00000.csv"
    steps = [
        ["prepare", "videos", manifest, "--videos", videos, "--narration", narration],
        ["doctor", manifest],
        ["partition", videos, narration, "--shards", "1", "--directory", place],
        [
            "decode",
            listed,
            place / "1.parquet",
            "--streams",
            "[{frames_per_second: 1, short_side: 112}]",
        ],
        ["decode", listed, place / "audio.parquet", "--streams", "[{sample_rate: 16000}]"],
        ["extract", "logmel", place / "audio.parquet", place / "logmel.parquet"],
        [
            *("vocabulary", "word2vec", narration, "--vectors", vectors),
            *("--output", place / "vocabulary.parquet", "--options", options),
        ],
        [
            *("extract", "word2vec", listed, place / "word2vec.parquet", "--options", options),
            *("--narration", place / "narration/00000.parquet"),
            *("--vocabulary", place / "vocabulary.parquet"),
        ],
    ]
    require(WITHOUT_TORCH, [json.dumps([str(word) for word in words]) for words in steps])
    assert (place / "word2vec.parquet").exists()
