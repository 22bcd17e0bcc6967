"""The embedded demo: narrated how-to videos, rendered here, with manifests and annotations; and further rendered sets."""


rule demo:
    """Render the demo's videos."""
    output:
        train="results/demo/train.csv",
        test="results/demo/test.csv",
        captions="results/demo/captions.csv",
        tasks="results/demo/tasks.csv",
        steps="results/demo/steps.csv",
        training_steps="results/demo/training_steps.csv",
        readme="results/demo/DEMO.md",
        videos=directory("results/demo/videos"),
        narration=directory("results/demo/narration"),
    log:
        "results/logs/demo.log",
    benchmark:
        "results/benchmarks/demo.tsv"
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        folder=subpath(output.train, parent=True),
        recipe=recipe("demo"),
        code=code("demo"),
    shell:
        "python -m mcn demo {params.folder} --workers {threads} {params.recipe} &> {log}"


rule rendered:
    """Render a set of videos whose tasks are drawn at random."""
    output:
        manifest="results/rendered/{set}/manifest.csv",
        captions="results/rendered/{set}/captions.csv",
        tasks="results/rendered/{set}/tasks.csv",
        steps="results/rendered/{set}/steps.csv",
        readme="results/rendered/{set}/DEMO.md",
        videos=directory("results/rendered/{set}/videos"),
        narration=directory("results/rendered/{set}/narration"),
    log:
        "results/logs/rendered/{set}.log",
    benchmark:
        "results/benchmarks/rendered/{set}.tsv"
    wildcard_constraints:
        set=one_of(settings.rendered),
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        folder=subpath(output.manifest, parent=True),
        recipe=recipe("rendered"),
        code=code("rendered"),
    shell:
        "python -m mcn render {params.folder} --workers {threads}"
        " {params.recipe} &> {log}"
