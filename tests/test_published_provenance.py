"""The registry of published weights, features and annotations is complete and in one form."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
REGISTRIES = ("mcn/published/provenance.yaml", "mcn/sources/provenance.yaml")
# loaders of weights and importers of features
WANTED = {"resnet152", "resnext101", "davenet", "word2vec", "mcn", "avlnet", "miech"}
WANTED |= {"howto100m_features", "clips", "crosstask_features"}
WANTED |= {"howto100m", "youcook2", "msrvtt", "crosstask", "mining_youtube"}


def entries():
    return [
        (name, entry)
        for registry in REGISTRIES
        for name, entry in yaml.safe_load((ROOT / registry).read_text()).items()
    ]


def test_everything_that_can_be_loaded_is_registered():
    assert {name for name, _ in entries()} >= WANTED


@pytest.mark.parametrize(("name", "entry"), entries(), ids=lambda value: str(value)[:20])
def test_an_entry_says_where_under_which_licence_and_what_was_verified(name, entry):
    assert entry["name"]
    assert entry["licence"]
    assert re.match(r"https?://", entry["home_page"])
    for file, known in entry["files"].items():
        assert known.keys() == {"page", "sha256", "verified"}, file
        assert known["verified"]
        assert known["sha256"] is None or re.fullmatch("[0-9a-f]{64}", known["sha256"])
