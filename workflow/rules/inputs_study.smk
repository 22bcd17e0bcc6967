"""Inputs and parameters of the rules of studies."""

from mcn.config.study import objectives_of, plan_digest, trials_of

trials = (
    {
        one.name: one
        for phase in ("tuning", "test")
        for one in trials_of(settings, phase)
    }
    if settings.study
    else {}
)


def trial_inputs(wildcards):
    """What a trial trains on and is scored on: features, narration and annotations."""
    trial = trials[wildcards.trial]
    experiment = settings.experiments[trial.objective]
    inputs = model_inputs(trial.dataset, experiment.training_features)
    if experiment.objective.needs.steps or settings.datasets[trial.dataset].steps:
        inputs["steps"] = f"results/{trial.dataset}/steps.parquet"
    early = experiment.early_evaluation
    for name in {trial.scored, *([early.dataset] if early else [])}:
        scored = model_inputs(name, experiment.features)
        inputs |= {f"{name}_{key}": paths for key, paths in scored.items()}
        inputs[f"{name}_captions"] = f"results/{name}/captions.parquet"
    inputs["scored_steps"] = f"results/{trial.scored}/steps.parquet"
    return inputs


def trial_scores(phase):
    """The scores of every trial of a phase."""
    found = trials_of(settings, phase) if settings.study else []
    return [f"results/study/trials/{one.name}/scores.json" for one in found]


def study_scores(wildcards):
    """The scores of every trial of the test; without any, what is missing is said."""
    if settings.study is None:
        raise WorkflowError("no section `study`: see docs/study.md")
    found = trial_scores("test")
    if not found:
        raise WorkflowError(
            "the study is not planned: make results/study/plan.yaml, and name it as the last --configfile, or run"
            " `mcn study CONFIG`, which does both"
        )
    return found


def study_captions():
    """The captions of the test set, whose videos are counted."""
    return f"results/{settings.study.test}/captions.parquet" if settings.study else []


def study_objectives():
    """A parameter: the compared experiments, the baseline first."""
    return list(objectives_of(settings)) if settings.study else []


def study_digest():
    """A parameter: what identifies the settings that are planned for."""
    return plan_digest(settings) if settings.study else ""


def trial_recipe(wildcards):
    """A parameter: the experiment that a trial is of."""
    objective = trials[wildcards.trial].objective
    return arguments(settings, "trial", {"experiment": objective}, settings_file)


def trial_told(wildcards):
    """A parameter: what a trial differs in, and how it is scored."""
    return trials[wildcards.trial].told(settings).model_dump_json()


def trial_code(wildcards):
    """A parameter: the digest of the code that computes a trial."""
    return code_of(
        settings, "trial", {"experiment": trials[wildcards.trial].objective}, Path.cwd()
    )
