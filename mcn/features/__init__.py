"""Decoded shards to feature shards: appearance, motion, log-mel, audio vectors, word ids; and the networks' weights."""
