"""Small models with random weights, saved in each library's own format, as a hub would hold them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

TOWER = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
TEXT = {**TOWER, "vocab_size": 90, "max_position_embeddings": 12}
VISION = {**TOWER, "image_size": 32, "patch_size": 8}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def save_transformers(folder: Path, kind: str) -> Path:
    """A model of transformers with its processor, and of dual encoders with their tokenizer."""
    import transformers as t

    torch.manual_seed(0)
    model, processors = _made(kind, t)
    _shake(model)
    model.save_pretrained(folder)
    for one in processors:
        one.save_pretrained(folder)
    return folder


def _shake(model: torch.nn.Module) -> None:
    """Random numbers everywhere: some weights start at zero or one, which would hide what is left out."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for row in model.parameters():
            row.add_(0.05 * torch.randn(row.shape, generator=generator))


def _made(kind: str, t: Any) -> tuple[Any, list[Any]]:
    square = {"size": {"height": 32, "width": 32}}
    cropped = {
        "size": {"shortest_edge": 36},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
    }
    if kind == "clip":
        config = t.CLIPConfig(
            text_config={**TEXT, "eos_token_id": 2}, vision_config=VISION, projection_dim=16
        )
        return t.CLIPModel(config), [t.CLIPImageProcessor(**cropped), tokenizer()]
    if kind == "siglip":
        config = t.SiglipConfig(text_config=TEXT, vision_config=VISION)
        return t.SiglipModel(config), [t.SiglipImageProcessor(**square), tokenizer()]
    if kind == "siglip2":  # its pictures keep their shape
        vision = {**TOWER, "patch_size": 8, "num_patches": 16}
        config = t.Siglip2Config(text_config=TEXT, vision_config=vision)
        processor = t.Siglip2ImageProcessor(patch_size=8, max_num_patches=20)
        return t.Siglip2Model(config), [processor, tokenizer()]
    if kind == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(**VISION)), [t.BitImageProcessor(**cropped)]
    if kind == "dinov3":
        config = t.DINOv3ViTConfig(**VISION, num_register_tokens=3)
        return t.DINOv3ViTModel(config), [t.DINOv3ViTImageProcessor(**square)]
    if kind == "vit_classifier":  # whose file has no pooler
        return t.ViTForImageClassification(t.ViTConfig(**VISION)), [t.ViTImageProcessor(**square)]
    if kind == "convnext":
        config = t.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16])
        processor = t.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.9)
        return t.ConvNextModel(config), [processor]
    if kind == "videomae":
        config = t.VideoMAEConfig(**VISION, num_frames=4)
        return t.VideoMAEModel(config), [t.VideoMAEImageProcessor(**cropped)]
    if kind == "xclip":
        vision = {**VISION, "num_frames": 3, "mit_hidden_size": 16, "mit_num_attention_heads": 2}
        vision |= {"mit_intermediate_size": 16, "mit_num_hidden_layers": 1}
        config = t.XCLIPConfig(
            text_config={**TEXT, "eos_token_id": 2}, vision_config=vision, projection_dim=16
        )
        return t.XCLIPModel(config), [t.VideoMAEImageProcessor(**cropped), tokenizer()]
    if kind == "vjepa2":
        config = t.VJEPA2Config(
            **{**TOWER, "patch_size": 8, "crop_size": 32, "frames_per_clip": 4, "tubelet_size": 2},
            mlp_ratio=1.5,
            pred_hidden_size=12,
            pred_num_attention_heads=2,
            pred_num_hidden_layers=1,
            pred_num_mask_tokens=2,
        )
        return t.VJEPA2Model(config), [t.VJEPA2VideoProcessor(crop_size=32)]
    if kind == "timesformer":
        config = t.TimesformerConfig(**VISION, num_frames=3)
        return t.TimesformerModel(config), [t.VideoMAEImageProcessor(**cropped)]
    return _made_sound(kind, t)


def _made_sound(kind: str, t: Any) -> tuple[Any, list[Any]]:
    if kind == "clap":
        audio = {
            **{"spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4]},
            **{"patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1]},
            **{"num_attention_heads": [2, 2], "window_size": 4, "num_classes": 4},
        }
        config = t.ClapConfig(
            text_config={**TEXT, "max_position_embeddings": 14, "pad_token_id": 1},
            audio_config=audio,
            projection_dim=16,
            projection_hidden_size=16,
        )
        extractor = t.ClapFeatureExtractor(
            feature_size=16,
            sampling_rate=16000,
            max_length_s=1,
            nb_max_samples=16000,
            hop_length=200,
            fft_window_size=512,
            truncation="rand_trunc",
            frequency_max=8000,
        )
        return t.ClapModel(config), [extractor, tokenizer(pad=1)]
    if kind == "ast":
        config = t.ASTConfig(**TOWER, patch_size=8, max_length=64, num_mel_bins=16)
        return t.ASTModel(config), [t.ASTFeatureExtractor(max_length=64, num_mel_bins=16)]
    if kind == "whisper":
        config = t.WhisperConfig(
            d_model=24,
            encoder_layers=2,
            encoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=32,
            num_mel_bins=16,
            max_source_positions=100,
            vocab_size=60,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
        extractor = t.WhisperFeatureExtractor(feature_size=16, chunk_length=2)
        return t.WhisperModel(config), [extractor]
    convolutions = {"conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (20, 16)}
    convolutions |= {"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4}
    convolutions |= {"num_conv_pos_embedding_groups": 2, "vocab_size": 8}
    extractor = t.Wav2Vec2FeatureExtractor(do_normalize=True)
    if kind == "wav2vec2":
        return t.Wav2Vec2Model(t.Wav2Vec2Config(**TOWER, **convolutions)), [extractor]
    assert kind == "hubert"
    return t.HubertModel(t.HubertConfig(**TOWER, **convolutions)), [extractor]


def tokenizer(pad: int = 0) -> Any:
    """A tokenizer of letters and short words: 12 tokens at most, start and end included."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>"] if pad == 0 else ["<s>", "<pad>", "</s>", "<unk>"]
    words = [*special, *LETTERS, *(f"##{one}" for one in LETTERS), "cut", "the", "onion", "pan"]
    made = Tokenizer(models.WordPiece({one: i for i, one in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[("<s>", special.index("<s>")), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=12,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )


def save_timm(folder: Path, name: str) -> Path:
    """A picture model of timm, as its `save_for_hf` writes it."""
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5)
    _shake(model)
    save_for_hf(model, folder, safe_serialization=True)
    return folder


def save_open_clip(folder: Path, kind: str = "clip") -> Path:
    """A pair of open_clip, as its `push_to_hf_hub` saves it; its tokenizer is the library's own.

    kind: clip, or pe: Perception Encoder, whose picture tower is timm's.
    """
    from open_clip import CLIP, CustomTextCLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    text = {"vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    model: dict[str, Any] = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 77, **text},
    }
    if kind == "pe":
        timm = {"timm_model_name": "vit_pe_core_tiny_patch16_384", "timm_pool": "map"}
        model["vision_cfg"] = {"image_size": 384, **timm, "timm_proj": None}
        model["text_cfg"]["context_length"] = 32
        model["custom_text"] = True
    known = {key: value for key, value in model.items() if key != "custom_text"}
    pair = CustomTextCLIP(**known) if kind == "pe" else CLIP(**known)
    _shake(pair)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(pair.state_dict(), folder / "open_clip_model.safetensors")
    side = model["vision_cfg"]["image_size"]
    preprocess = {
        **{"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]},
        **{"interpolation": "bicubic", "resize_mode": "shortest", "size": [side, side]},
    }
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def save_torchvision(path: Path, name: str, items: tuple[int, ...] = (4, 3, 64, 64)) -> Path:
    """The state dict of a network of torchvision. items: size of the noise that its batch norms are calibrated on."""
    from torchvision.models import get_model

    torch.manual_seed(0)
    network = get_model(name, weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    if items:
        with torch.no_grad():
            network(torch.randn(items))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path


def sound(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Float32 (N,): tones that change, and noise."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    tones = np.sin(2 * np.pi * (300 + 200 * np.floor(3 * times)) * times)
    return (0.3 * tones + 0.05 * random.normal(size=len(times))).astype(np.float32)


def save_sentences(folder: Path, kind: str) -> Path:
    """A sentence encoder in the layout of sentence-transformers: transformer and pooling, or a table of tokens."""
    import transformers
    from sentence_transformers import SentenceTransformer

    modules: Any = importlib.import_module("sentence_transformers.models")

    torch.manual_seed(0)
    if kind == "static":
        static = modules.StaticEmbedding(tokenizer()._tokenizer, embedding_dim=16)
        SentenceTransformer(modules=[static], device="cpu").save(str(folder))
        return folder
    bert = transformers.BertModel(transformers.BertConfig(**TEXT, type_vocab_size=1))
    _shake(bert)
    bert.save_pretrained(folder / "bert")
    tokenizer().save_pretrained(folder / "bert")
    transformer = modules.Transformer(str(folder / "bert"))
    pooling = modules.Pooling(transformer.get_embedding_dimension())
    whole = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    whole.save(str(folder / "whole"))
    return folder / "whole"
