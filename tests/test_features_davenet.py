import numpy as np
import pytest
import torch

from mcn.errors import UserError
from mcn.features.davenet import chunks_of, overlap_of
from mcn.networks import ResDavenet
from mcn.options.encoders import DavenetOptions
from mcn.options.features import RuntimeOptions
from mcn.shards import (
    FEATURE_SCHEMA,
    ShardReader,
    ShardWriter,
    empty_row,
    feature_row,
    feature_sequence,
)
from tests.features_shards import extract_feature

ON_CPU = RuntimeOptions(device="cpu")
WIDTHS = (8, 8, 16, 24)


def mels(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-80, 0, (rows, 40)).astype(np.float16)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = ResDavenet(WIDTHS)
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(mels(800).astype(np.float32)).T[None])
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mcn.pth"
    rows = {f"DAVEnet.{name}": row for name, row in network.state_dict().items()}
    torch.save({**rows, "GU_video.fc.weight": torch.zeros(2, 2)}, path)
    return path


def write_mels(path, videos):
    with ShardWriter(path, FEATURE_SCHEMA, {"feature": "logmel"}) as shard:
        for video_id, values in videos.items():
            if values is None:
                shard.write(empty_row(FEATURE_SCHEMA, video_id, "missing", "no_audio"))
            else:
                shard.write(feature_row(video_id, values, 0.5, 0.01))
    return path


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 1024, 1025, 2047, 5000])
def test_chunks_join_to_one_row_every_sixteen(rows):
    chunks = list(chunks_of(mels(rows), 1024, ResDavenet(WIDTHS)))
    assert sum(chunk.last - chunk.first for chunk in chunks) == -(-rows // 16)


def test_chunked_equals_one_pass(network, weights, tmp_path):
    videos = {"short": mels(7), "mute": None, "long": mels(3500, 1), "exact": mels(2048, 2)}
    source = write_mels(tmp_path / "logmel.parquet", videos)
    output = tmp_path / "davenet.parquet"
    extract_feature(source, weights, output, DavenetOptions(chunk_rows=1024), ON_CPU, threads=2)
    for row in ShardReader(output):
        found, values = feature_sequence(row), videos[row["video_id"]]
        if values is None:
            assert found.error == "no_audio"
            continue
        whole = network(torch.from_numpy(values.astype(np.float32)).T[None])[0].T
        assert found.values.shape == (-(-len(values) // 16), WIDTHS[-1])
        np.testing.assert_allclose(found.values, whole, rtol=2e-3, atol=2e-3)
        assert (found.start_seconds, found.step_seconds) == (0.5, pytest.approx(0.16))


def test_overlap_covers_the_receptive_field(network):
    """Input farther than the overlap changes nothing; input just inside the field does."""
    rows = torch.from_numpy(mels(3200).astype(np.float32)).T[None]
    centre = 100 * 16
    before = network(rows)[0, :, 100]
    far, near = rows.clone(), rows.clone()
    overlap = overlap_of(network)
    far[..., : centre - overlap] = 0
    far[..., centre + overlap :] = 0
    near[..., centre - 400] += 1e4
    torch.testing.assert_close(network(far)[0, :, 100], before)
    assert not torch.allclose(network(near)[0, :, 100], before)


def test_other_features_are_refused(weights, tmp_path):
    source = write_mels(tmp_path / "x.parquet", {"a": np.ones((5, 64), np.float16)})
    with pytest.raises(UserError, match="width 64"):
        extract_feature(source, weights, tmp_path / "out.parquet", DavenetOptions(), ON_CPU, 1)
