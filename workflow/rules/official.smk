"""Official files of published data sets to the inputs that `prepare` takes."""

# One rule a kind: each makes other files.
for kind, names in official_sets().items():

    rule:
        name:
            f"import_{kind}"
        input:
            official_files,
            code=code(f"sources/{kind}.py"),
        output:
            expand(
                "results/{{dataset}}/official/{file}",
                file=[*KINDS[kind].makes.values(), *ACCOUNTS],
            ),
        log:
            "results/logs/{dataset}/import_annotations.log",
        wildcard_constraints:
            dataset="|".join(names),
        conda:
            "../../envs/mcn.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=720,
        params:
            directory=subpath(output[0], parent=True),
            options=official_options,
        shell:
            "python -m mcn import annotations {params.options} --output {params.directory} &> {log}"


rule import_annotations:
    """Every published data set's inputs and account; docs/datasets.md says how to notice videos that were added."""
    input:
        [
            f"results/{name}/official/accounting.json"
            for names in official_sets().values()
            for name in names
        ],
