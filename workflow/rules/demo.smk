"""The embedded demo: narrated how-to videos, rendered here, with manifests and annotations."""


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
        recipe=recipe("demo"),
        code=code("demo"),
    shell:
        "python -m mcn demo results/demo --workers {threads} {params.recipe} &> {log}"
