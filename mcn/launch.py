"""The command that runs a verb in several processes: torchrun on one node, srun and torchrun on several.

On several nodes the job's own shell runs on the first; srun starts one torchrun a node, and its environment names the
first node, where the processes meet. The port comes from the job's number, so that two jobs on a node do not clash.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

FIRST_PORT, PORTS = 20_000, 10_000  # below 32768, where the ephemeral ports of Linux begin


def command(nodes: int, processes: int, arguments: Sequence[str]) -> list[str]:
    """What runs `mcn` with `arguments` in `processes` processes on each of `nodes` nodes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    target = ["-m", "mcn", *arguments]
    if nodes == 1:
        return [*torchrun, "--standalone", *target]
    port = f"$(({FIRST_PORT} + SLURM_JOB_ID % {PORTS}))"
    meeting = f'--rdzv-id=$SLURM_JOB_ID --rdzv-backend=c10d --rdzv-endpoint="$SLURM_LAUNCH_NODE_IPADDR:{port}"'
    script = f"exec {shlex.join([*torchrun, f'--nnodes={nodes}'])} {meeting} {shlex.join(target)}"
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return [*srun, "bash", "-c", script]


def spread(nodes: int, processes: int) -> None:
    """Become several processes of this very command, where that is wanted and not yet so. Does not return then."""
    if nodes * processes == 1 or "WORLD_SIZE" in os.environ:
        return
    words = command(nodes, processes, sys.argv[1:])
    os.execvp(words[0], words)
