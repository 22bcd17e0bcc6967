"""One run, one configuration: on a cluster each job reads the configuration files anew, and they may have been edited.

The head notes the digest of its configuration in the environment, which its jobs inherit; of several, where a workflow
has several modules of this one, each notes its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from mcn.errors import UserError

VARIABLE = "MCN_CONFIGURATION"


def require_one_configuration(configuration: Mapping[str, Any], is_head: bool) -> None:
    """Note a head's configuration, as it was read; compare a job's with it. Errors: `UserError` where they differ."""
    text = json.dumps(configuration, sort_keys=True, default=str)
    found = hashlib.sha256(text.encode()).hexdigest()
    known = os.environ.get(VARIABLE, "").split()
    if is_head:
        os.environ[VARIABLE] = " ".join(dict.fromkeys([*known, found]))
    elif known and found not in known:
        raise UserError(
            "the configuration was edited while the run went on",
            "the one that the run began with",
            "stop the run and start it again: it makes what the edit changes",
        )
