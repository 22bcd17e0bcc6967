"""Zero-shot evaluation: text-to-video retrieval, step localization, ordered alignment, action recognition.

`mcn.options.tasks.TASKS` lists the evaluations; each is a folder or file here with its metrics, in numpy alone,
and its function `evaluate`. `embed` turns features and texts into embeddings of a model, `seconds` those of every
second of a video, and `stage` runs an evaluation and writes its JSON.

An evaluation of your own
-------------------------
Write a function in a file beside your configuration, or in an installed package, and name it in a data set::

    datasets:
      my_videos:
        evaluations:
          first_minute: my_scores:evaluate             # or, with more to say:
          precision: {evaluate: "my_scores:precision", tables: [captions], modalities: [video, text], options: {k: 5}}

The function takes one argument, a `mcn.evaluation.embed.EvaluatedModel`: `tables["captions"]` is the file of an
annotation table that was asked for, `options.options` what the configuration says below `options`, `stores` the
features by name, and `embed_video`, `embed_audio`, `embed_text` give embeddings. It returns a dictionary of plain
values (what JSON can hold) with a key `scores`: name -> number, None where a score is undefined. A key `chance` may
hold the same names for a model that knows nothing, `n` and `total` how many items were scored and how many there are;
further keys are kept. The result is `results/evaluation/{experiment}/{dataset}.{name}.json`, and the report shows it.
"""
