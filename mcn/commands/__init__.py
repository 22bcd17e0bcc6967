"""The verbs of the command line, one module a group; each has `register(verbs)` and the functions that its verbs run.

A verb parses its options, calls one stage and returns the exit status. Stages are imported inside the functions, so
that `mcn --help` and small stages start without torch.
"""

from mcn.commands import (
    accounts,
    data,
    evaluation,
    features,
    models,
    project,
    published,
    search,
    speech,
    study,
    tables,
)

# what people type comes first in `mcn --help`
GROUPS = (
    search,
    data,
    speech,
    features,
    models,
    evaluation,
    published,
    study,
    tables,
    accounts,
    project,
)
