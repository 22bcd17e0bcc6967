"""Small runs of every kind of objective."""

from __future__ import annotations

import pytest

from mcn.options.training import ExperimentOptions

FUSION = {"visual_tokens": 3, "fusion_width": 16, "fusion_heads": 2, "audio_columns_per_token": 1}
OBJECTIVE_SETTINGS = {
    "mcn": {"clusters": 8, "queue_steps": 2, "refit_every_steps": 2, "reconstruction_weight": 1},
    "mcn prototypes": {"cluster_by": "prototypes", "clusters": 8, "prototype_width": 8},
    "max_margin": {"kind": "max_margin"},
    "mil_nce": {"kind": "mil_nce", "candidates": 3},
    "norm_softmax": {"kind": "norm_softmax"},
    "supervised": {"kind": "supervised"},
    "multilingual_nce": {"kind": "multilingual_nce", "languages": ["en", "de"]},
    "avlnet": {"kind": "avlnet"},
    "avlnet tri": {"kind": "avlnet", "text": "tri"},
    "avlnet fused": {"kind": "avlnet", "text": "fused"},
    "everything_at_once": {"kind": "everything_at_once", **FUSION},
    "everything_at_once released": {
        "kind": "everything_at_once",
        "variant": "released",
        **FUSION,
    },
    "fine_grained": {"kind": "fine_grained", "visual_units": 3},
    "xdc": {"kind": "xdc", "clusters": 8, "memory_clips": 30, "refit_every_epochs": 40},
    "xdc cdc": {"kind": "xdc", "variant": "cdc", "clusters": 8},
    "support_set": {"kind": "support_set", "decoder_width": 16},
    "synchronisation": {
        "kind": "synchronisation",
        "easy_epochs": 2,
        "least_shift_seconds": 3,
        "most_shift_seconds": 20,
    },
    "correspondence": {"kind": "correspondence"},
    "correspondence fusion": {"kind": "correspondence", "form": "fusion"},
    "cpc": {"kind": "cpc", "predicted_rows": 2},
    "cpc clips": {"kind": "cpc", "negatives": "clips", "windows": "lines"},
    "masked_prediction": {"kind": "masked_prediction", "layers": 1, "projection_width": 8},
    "masked_prediction quantised": {
        "kind": "masked_prediction",
        "layers": 1,
        "projection_width": 8,
        "quantised": True,
        "codes": 5,
    },
    "shuffle_and_learn": {"kind": "shuffle_and_learn", "hidden_width": 16},
    "odd_one_out": {"kind": "odd_one_out", "sequences": 3, "rows": 3, "hidden_width": 16},
    "nt_xent": {"kind": "nt_xent", "projection_width": 8},
    "nt_xent modalities": {
        "kind": "nt_xent",
        "views": ["video_video", "video_text", "video_audio"],
        "projection_width": None,
    },
}
ALONE = ("cpc", "masked_prediction", "shuffle_and_learn", "odd_one_out")  # on one feature's rows
every_kind = pytest.mark.parametrize("name", OBJECTIVE_SETTINGS)


def options(name, model=None, **training):
    small = {"embedding_width": 16, "davenet_widths": (4, 4, 8, 8), "reconstruction_width": 8}
    if name.split()[0] in ALONE:
        small["video"] = ("resnet152",)
        training = {"min_clip_seconds": 12.0, **training}
    return ExperimentOptions(
        model={**small, **(model or {})},
        objective=OBJECTIVE_SETTINGS[name],
        training={
            "epochs": 4,
            "videos_per_batch": 4,
            "clips_per_video": 4,
            "min_clip_seconds": 2.0,
            "audio_frames": 64,
            "max_words": 4,
            "learning_rate": 3e-3,
            "warmup_steps": 1,
            "checkpoint_every_steps": 5,
            **training,
        },
    )
