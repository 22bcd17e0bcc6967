"""Models of libraries: our batched extraction equals the library's own one-item pipeline to 1e-5 in fp32.

The models are small and have random weights; they are saved in the library's own format and opened by path, through the
code that opens a hub's models. `pytest -s` prints the table of the largest differences.
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mcn.features.registry import derive_reads, make_extractor, make_text_encoder
from mcn.features.runtime import resolve
from mcn.options.features import RuntimeOptions, parse_row
from tests import library_models as models
from tests.features_shards import pictures

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
TABLE = {}
ON_CPU = RuntimeOptions(device="cpu")
AT = resolve(ON_CPU, 1)
PE = "vit_pe_core_tiny_patch16_384"  # Perception Encoder


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    for (library, kind, pooling), difference in sorted(TABLE.items()):
        print(f"\n{library:12} {kind:24} {pooling:10} {difference:.1e}", end="")


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A folder of a model by library and kind, saved once."""
    folder = tmp_path_factory.mktemp("models")

    def path(library, kind):
        where = folder / library / kind
        if not where.exists():
            save = {
                "transformers": models.save_transformers,
                "timm": models.save_timm,
                "torchvision": models.save_torchvision,
            }
            if library == "open_clip":
                models.save_open_clip(where, kind)
            else:
                save[library](where, kind)
        return str(where)

    return path


def row_of(**values):
    return parse_row("tried", json.dumps(values))


def extractor_of(batch=4, **values):
    runtime = RuntimeOptions(device="cpu", batch_size=batch)
    return make_extractor("tried", row_of(**values), "", runtime, threads=1)


def frames_of(count, height=40, width=56):
    return pictures(count, height, width)


def vectors_of(extractor, clips):
    """What a batch that is filled up with black gives for clips (n, F, H, W, 3)."""
    size = extractor.items.batch_size
    assert len(clips) % size or size == 2  # the last batch is filled up, or holds two
    rows = []
    for first in range(0, len(clips), size):
        part = clips[first : first + size]
        filled = np.zeros((size, *part.shape[1:]), np.uint8)
        filled[: len(part)] = part
        rows.append(extractor.encode(filled)[: len(part)])
    return np.concatenate(rows)


def agree(library, kind, ours, theirs, pooling=""):
    scale = max(1.0, float(np.abs(theirs).max()))  # numbers of hundreds have an error of their own
    difference = float(np.abs(ours - theirs).max()) / scale
    TABLE[library, kind, pooling] = difference
    assert ours.shape == theirs.shape
    assert np.abs(theirs).max() > 1e-2
    assert np.abs(theirs - theirs[:1]).max() > 1e-3 or len(theirs) == 1  # items differ
    assert difference <= TOLERANCE


# transformers, pictures


def one_picture(folder, picture, choose):
    """The library's own way for one picture."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return choose(model, dict(processor(images=picture, return_tensors="pt")))[0].numpy()


def projected(model, inputs):
    return model.get_image_features(**inputs).pooler_output


PICTURES = {
    ("clip", "auto"): projected,
    ("clip", "pooler"): lambda model, x: model.vision_model(**x).pooler_output,
    ("clip", "cls"): lambda model, x: model.vision_model(**x).last_hidden_state[:, 0],
    ("siglip", "auto"): projected,
    ("siglip", "mean"): lambda model, x: model.vision_model(**x).last_hidden_state.mean(1),
    ("siglip2", "auto"): projected,
    ("dinov2", "auto"): lambda model, x: model(**x).pooler_output,
    ("dinov2", "mean"): lambda model, x: model(**x).last_hidden_state[:, 1:].mean(1),
    ("dinov3", "cls"): lambda model, x: model(**x).last_hidden_state[:, 0],
    ("dinov3", "mean"): lambda model, x: model(**x).last_hidden_state[:, 4:].mean(1),
    ("vit_classifier", "auto"): lambda model, x: model(**x).last_hidden_state[:, 1:].mean(1),
    ("convnext", "auto"): lambda model, x: model(**x).pooler_output,
}


@pytest.mark.parametrize(("kind", "pooling"), PICTURES)
def test_pictures_of_transformers(kind, pooling, saved):
    folder, frames = saved("transformers", kind), frames_of(3)
    extractor = extractor_of(encoder="transformers_picture", model=folder, pooling=pooling)
    one = [one_picture(folder, Image.fromarray(frame), PICTURES[kind, pooling]) for frame in frames]
    agree("transformers", kind, vectors_of(extractor, frames[:, None]), np.stack(one), pooling)


def test_a_layer_of_a_picture_model(saved):
    folder, frames = saved("transformers", "dinov2"), frames_of(2)
    extractor = extractor_of(encoder="transformers_picture", model=folder, pooling="mean", layer=-2)

    def hidden(model, inputs):
        return model(**inputs, output_hidden_states=True).hidden_states[-2][:, 1:].mean(1)

    one = [one_picture(folder, Image.fromarray(frame), hidden) for frame in frames]
    agree("transformers", "dinov2", vectors_of(extractor, frames[:, None]), np.stack(one), "layer")


# transformers, clips

CLIPS = {
    ("videomae", "auto"): lambda model, x: model(**x).last_hidden_state.mean(1),
    ("xclip", "auto"): lambda model, x: model.get_video_features(**x).pooler_output,
    ("vjepa2", "auto"): lambda model, x: model(**x).last_hidden_state.mean(1),
    ("timesformer", "cls"): lambda model, x: model(**x).last_hidden_state[:, 0],
}


@pytest.mark.parametrize(("kind", "pooling"), CLIPS)
def test_clips_of_transformers(kind, pooling, saved):
    folder = saved("transformers", kind)
    extractor = extractor_of(
        encoder="transformers_video", model=folder, pooling=pooling, frames_per_second=4, batch=2
    )
    frames = extractor.items.frames
    assert frames == {"videomae": 4, "xclip": 3, "vjepa2": 4, "timesformer": 3}[kind]
    clips = frames_of(3 * frames).reshape(3, frames, 40, 56, 3)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    one = []
    for clip in clips:
        if kind == "vjepa2":
            processor = transformers.AutoVideoProcessor.from_pretrained(folder)
            inputs = processor(torch.from_numpy(clip).permute(0, 3, 1, 2), return_tensors="pt")
        else:
            processor = transformers.AutoImageProcessor.from_pretrained(folder)
            inputs = processor([Image.fromarray(frame) for frame in clip], return_tensors="pt")
        with torch.inference_mode():
            one.append(CLIPS[kind, pooling](model, dict(inputs))[0].numpy())
    agree("transformers", kind, vectors_of(extractor, clips), np.stack(one), pooling)


# transformers, sound

SECONDS = 2.6
SOUNDS = {  # window of the model in seconds, and the library's way for one window
    "clap": (1.0, lambda model, x: model.get_audio_features(**x).pooler_output),
    "ast": (0.64, lambda model, x: model(**x).pooler_output),
    "whisper": (2.0, None),
    "wav2vec2": (1.0, lambda model, x: model(**x).last_hidden_state.mean(1)),
    "hubert": (1.0, lambda model, x: model(**x).last_hidden_state.mean(1)),
}


@pytest.mark.parametrize("kind", SOUNDS)
def test_sounds_of_transformers(kind, saved):
    folder, (window, choose) = saved("transformers", kind), SOUNDS[kind]
    own = {"window_seconds": 1} if kind in ("wav2vec2", "hubert") else {}
    extractor = make_extractor(
        "tried",
        row_of(encoder="transformers_audio", model=folder, **own),
        "",
        RuntimeOptions(device="cpu", batch_size=2),
        threads=1,
    )
    samples = models.sound(SECONDS)
    ours = extractor.encode(samples)
    assert extractor.step_seconds == pytest.approx(window)
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    one = []
    for first in range(0, len(samples), round(window * 16000)):
        part = samples[first : first + round(window * 16000)]
        inputs = dict(processor(part, sampling_rate=16000, return_tensors="pt"))
        with torch.inference_mode():
            if kind == "whisper":  # 100 tokens stand for 2 s; those behind the sound do not count
                tokens = model.encoder(inputs["input_features"]).last_hidden_state
                found = tokens[:, : round(100 * len(part) / 32000)].mean(1)
            else:
                found = choose(model, inputs)
        one.append(found[0].numpy())
    agree("transformers", kind, ours, np.stack(one))


def test_tokens_that_follow_time_are_averaged_over_steps(saved):
    folder = saved("transformers", "wav2vec2")
    values = {"encoder": "transformers_audio", "model": folder, "window_seconds": 1}
    extractor = extractor_of(**values, step_seconds=0.25)
    samples = models.sound(1.0)
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        tokens = model(**processor(samples, sampling_rate=16000, return_tensors="pt"))
        tokens = tokens.last_hidden_state[0].numpy()  # (50, D), 20 ms each
    ours = extractor.encode(samples)
    assert extractor.step_seconds == 0.25
    np.testing.assert_allclose(ours[0], tokens[:13].mean(axis=0), atol=TOLERANCE)
    np.testing.assert_allclose(ours[3], tokens[37:].mean(axis=0), atol=TOLERANCE)
    assert len(extractor.encode(models.sound(2.6))) == 11
    assert len(extractor.encode(models.sound(1.0)[:16010])) == 4
    assert extractor.encode(np.zeros(0, np.float32)).shape == (0, 0)


def test_windows_of_sound_overlap_where_tokens_do_not_follow_time(saved):
    values = {"encoder": "transformers_audio", "model": saved("transformers", "clap")}
    samples = models.sound(2.0)
    close = extractor_of(**values, step_seconds=0.5).encode(samples)
    wide = extractor_of(**values).encode(samples)
    assert len(close) == 4
    np.testing.assert_allclose(close[[0, 2]], wide, atol=TOLERANCE)


# timm, open_clip, torchvision


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_efficientnet", PE])
def test_pictures_of_timm(name, saved):
    import timm

    folder, frames = saved("timm", name), frames_of(3, 170, 200)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    ways = {"auto": model, "mean": lambda x: model.forward_features(x).mean(dim=(2, 3))}
    if name in ("test_vit", PE):
        ways["mean"] = lambda x: model.forward_features(x)[:, model.num_prefix_tokens :].mean(1)
        ways["cls"] = lambda x: model.forward_features(x)[:, 0]
    for pooling, way in ways.items():
        extractor = extractor_of(encoder="timm_picture", model=folder, pooling=pooling)
        with torch.inference_mode():
            one = [way(transform(Image.fromarray(frame))[None])[0].numpy() for frame in frames]
        agree("timm", name, vectors_of(extractor, frames[:, None]), np.stack(one), pooling)


def test_a_layer_of_timm(saved):
    import timm

    folder, frames = saved("timm", "test_vit"), frames_of(2, 170, 200)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    seen = []
    model.blocks[0].register_forward_hook(lambda _, inputs, output: seen.append(output))
    with torch.inference_mode():
        for frame in frames:
            model(transform(Image.fromarray(frame))[None])
    tokens = torch.cat(seen).numpy()
    values = {"encoder": "timm_picture", "model": folder, "layer": 0}
    mean = vectors_of(extractor_of(**values, pooling="mean"), frames[:, None])
    agree("timm", "test_vit", mean, tokens[:, 1:].mean(axis=1), "layer mean")
    first = vectors_of(extractor_of(**values, pooling="cls"), frames[:, None])
    np.testing.assert_allclose(first, tokens[:, 0], atol=TOLERANCE)


@pytest.mark.parametrize(("kind", "reads"), [("clip", 77), ("pe", 32)])
def test_a_pair_of_open_clip(kind, reads, saved):
    open_clip = pytest.importorskip("open_clip")
    folder, frames = saved("open_clip", kind), frames_of(3)
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    texts = ["a photo of an onion", "cut it"]
    with torch.inference_mode():
        seen = [
            model.encode_image(transform(Image.fromarray(frame))[None], normalize=True)[0].numpy()
            for frame in frames
        ]
        said = [model.encode_text(tokenizer([one]), normalize=True)[0].numpy() for one in texts]
    extractor = extractor_of(encoder="open_clip_picture", model=folder)
    agree("open_clip", f"{kind} picture", vectors_of(extractor, frames[:, None]), np.stack(seen))
    tower = make_text_encoder(row_of(encoder="open_clip_text", model=folder), AT)
    agree("open_clip", f"{kind} text", tower.encode(texts), np.stack(said))
    assert tower.recipe["weights"]["sha256"] == extractor.recipe["weights"]["sha256"]
    long = " ".join(["onion"] * (reads + 23))  # and two tokens, of which it reads some
    parts = [" ".join(["onion"] * count) for count in (reads - 2, 25)]
    mean = tower.encode(parts).mean(axis=0)
    np.testing.assert_allclose(tower.encode([long])[0], mean / np.linalg.norm(mean), atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2", "xclip", "clap"])
def test_text_towers_of_transformers(kind, saved):
    folder, texts = saved("transformers", kind), ["cut", "pan", "a b c"]
    tower = make_text_encoder(row_of(encoder="transformers_text", model=folder), AT)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    full = {"padding": "max_length", "max_length": 12} if "siglip" in kind else {}
    one = []
    for text in texts:
        with torch.inference_mode():
            inputs = tokenizer([text], return_tensors="pt", **full)
            found = model.get_text_features(**inputs).pooler_output
        one.append(torch.nn.functional.normalize(found)[0].numpy())
    agree("transformers", f"{kind} text", tower.encode(texts), np.stack(one))
    letters = 5 if kind == "siglip2" else 10  # that it reads at once; its tokenizer counts spaces
    words = models.LETTERS[: 2 * letters]
    parts = [" ".join(words[:letters]), " ".join(words[letters:])]
    found = tower.encode([" ".join(words), ""])
    mean = tower.encode(parts).mean(axis=0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=TOLERANCE)
    assert not found[1].any()


def hooked(name, path, preset, classifier, item):
    """What a network of torchvision hands its classifier for one item."""
    from torchvision.models import get_model, get_model_weights

    network = get_model(name, weights=None).eval()
    network.load_state_dict(torch.load(path, weights_only=True))
    seen = []
    network.get_submodule(classifier).register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    transform = get_model_weights(name)[preset].transforms()
    with torch.inference_mode():
        network(transform(item)[None])
    return seen[0].flatten(2).mean(2)[0].numpy() if seen[0].dim() > 2 else seen[0][0].numpy()


@pytest.mark.parametrize(
    ("name", "classifier"), [("shufflenet_v2_x0_5", "fc"), ("mobilenet_v3_small", "classifier.3")]
)
def test_pictures_of_torchvision(name, classifier, saved, tmp_path):
    path = models.save_torchvision(tmp_path / "weights.pth", name)
    frames = frames_of(2, 60, 80)
    extractor = extractor_of(encoder="torchvision_picture", model=name, weights=str(path))
    one = [hooked(name, path, "DEFAULT", classifier, Image.fromarray(frame)) for frame in frames]
    agree("torchvision", name, vectors_of(extractor, frames[:, None]), np.stack(one))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classifier", "frames"),
    [
        ("r2plus1d_18", "fc", 8),
        ("s3d", "classifier", 16),
        ("mvit_v2_s", "head.1", 16),
        ("swin3d_t", "head", 8),
    ],
)
def test_clips_of_torchvision(name, classifier, frames, tmp_path):
    items = {"s3d": (1, 3, 14, 224, 224), "r2plus1d_18": (2, 3, 4, 56, 56)}.get(name, ())
    path = models.save_torchvision(tmp_path / "weights.pth", name, items)
    extractor = extractor_of(
        encoder="torchvision_video", model=name, weights=str(path), frames_per_clip=frames, batch=2
    )
    clips = frames_of(2 * frames, 60, 80).reshape(2, frames, 60, 80, 3)
    one = [
        hooked(
            name, path, "KINETICS400_V1", classifier, torch.from_numpy(clip.transpose(0, 3, 1, 2))
        )
        for clip in clips
    ]
    agree("torchvision", name, vectors_of(extractor, clips), np.stack(one))


# what the streams of decoding follow from


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"encoder": "transformers_picture", "model": "transformers/clip"}, (1, 36)),
        ({"encoder": "transformers_picture", "model": "transformers/siglip"}, (1, 32)),
        ({"encoder": "transformers_picture", "model": "transformers/convnext"}, (1, 71)),
        ({"encoder": "transformers_video", "model": "transformers/vjepa2"}, (4, 36)),
        ({"encoder": "timm_picture", "model": "timm/test_vit"}, (1, 168)),
        ({"encoder": "open_clip_picture", "model": "open_clip/clip"}, (1, 32)),
        ({"encoder": "torchvision_picture", "model": "mobilenet_v3_small"}, (1, 256)),
        ({"encoder": "torchvision_video", "model": "mvit_v2_s"}, (7.5, 256)),
    ],
    ids=lambda value: value["model"] if isinstance(value, dict) else "",
)
def test_what_is_decoded_follows_from_the_processor(row, wanted, saved):
    library, _, kind = row["model"].partition("/")
    if library == "open_clip":
        pytest.importorskip("open_clip")
    rate = {"frames_per_second": 4} if "vjepa2" in kind else {}
    model = saved(library, kind) if kind else library
    reads = derive_reads(row_of(**{**row, "model": model, **rate})).reads
    assert (reads.frames_per_second, reads.short_side, reads.crop) == (*wanted, None)


def test_the_rate_of_sound_follows_from_the_processor(saved):
    row = row_of(encoder="transformers_audio", model=saved("transformers", "ast"))
    assert derive_reads(row).reads.sample_rate == 16000
