"""Experiments set beside each other: means and spread over seeds, paired differences, clusters, pictures of the spaces.

Conventions
-----------
- Experiments X_seed1, X_seed2, ... (`seeds:` in the configuration) are runs of one objective X; any other experiment is
  the only run of its own.
- Scores come from the evaluations' own files. Ranks of single captions, clusters and pictures need the embeddings, so
  every model embeds the set once more.
"""
