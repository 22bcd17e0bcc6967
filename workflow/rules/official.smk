"""Official files of published data sets to the inputs that `prepare` takes."""

# One rule an adapter: each makes other files.
for adapter, names in official_sets().items():

    rule:
        name:
            f"import_{adapter_name(adapter)}"
        input:
            official_files,
        output:
            expand(
                "results/{{dataset}}/official/{file}",
                file=[*adapter.makes.values(), *ACCOUNTS],
            ),
        log:
            "results/logs/{dataset}/import_annotations.log",
        wildcard_constraints:
            dataset="|".join(names),
        conda:
            "../../envs/mcn.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(720),
        params:
            directory=subpath(output[0], parent=True),
            options=official_options,
            code=code("import_annotations"),
            content=content(official_files),
        shell:
            "python -m mcn import annotations {params.options} --output {params.directory} &> {log}"


rule import_annotations:
    """Every published data set's inputs and account; docs/datasets.md says how to notice videos that were added."""
    input:
        expand("results/{dataset}/official/accounting.json", dataset=list(adapters)),
    localrule: True
