"""Zero-shot evaluation: retrieval, step localization and ordered alignment, and the stages that measure a model.

`retrieval`, `localization` and `alignment` are pure numpy: `validate`, metrics, `evaluate`. `embed` turns feature
shards into embeddings with a model; `stage_retrieval` and `stage_localization` write the JSON that the report reads.
"""
