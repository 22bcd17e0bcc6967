"""Cost of a training step under every objective of an overlay, on the features of a finished demo run.

    python benchmarks/objectives.py results [--overlay config/comparison.yaml] [--steps 12]

Processor time of one thread (the median step), which other programs hardly change; reading batches is not in it.
Parameters: of the network and the objective's heads, in millions.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from mcn.config.configuration import configure
from mcn.features.runtime import resolve
from mcn.layout import Dataset
from mcn.options.features import RuntimeOptions
from mcn.options.sections import Experiment
from mcn.shards.lines import vocabulary_vectors
from mcn.training.data import TrainingSet
from mcn.training.train import build_trainer


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Files merged as Snakemake merges them: key by key."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = laid_over(below[key], value) if both else value
    return merged


def measure(results: Path, experiment: Experiment, steps: int) -> tuple[float, float]:
    """Median processor milliseconds of a step, and millions of parameters."""
    dataset = Dataset.at(results / str(experiment.dataset))
    shards = dataset.model_shards(*experiment.training_features)
    data = TrainingSet(shards, experiment.training, experiment.objective.needs)
    vectors = torch.from_numpy(vocabulary_vectors(dataset.table("vocabulary"))[0])
    runtime = resolve(RuntimeOptions.model_validate({"device": "cpu"}), 1)
    trainer = build_trainer(data, vectors, experiment, runtime)
    trainer.objective.start_epoch()
    seconds = []
    for step in range(steps):
        batch = data.batch(*divmod(step, data.steps_per_epoch))
        began = time.process_time()
        trainer.step(batch, step)
        seconds.append(time.process_time() - began)
    return 1000 * median(seconds), sum(p.numel() for p in trainer.parameters) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--overlay", type=Path, default=Path("config/comparison.yaml"))
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    files = [yaml.safe_load(path.read_text()) for path in (Path("config.yaml"), arguments.overlay)]
    settings = configure(laid_over(*files))
    for objective, experiment in settings.experiments.items():
        cost, parameters = measure(arguments.results, experiment, arguments.steps)
        print(f"{objective:20s} {cost:7.1f} ms a step, {parameters:5.2f} M parameters", flush=True)


if __name__ == "__main__":
    main()
