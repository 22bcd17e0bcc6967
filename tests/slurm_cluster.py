"""A throw-away Slurm of two nodes on the loopback interface, for root on Debian, without systemd or cgroups.

Conventions
-----------
- Both nodes are this machine: `slurmd -N n1`, `slurmd -N n2` on ports of their own, each with all processors, as much
  memory as the shipped profile asks for (config_overrides: nobody looks whether it is there) and two schedulable GPUs
  with no device behind them (a plain file each: slurmd counts files).
- Two partitions over both nodes: `cpu`, the default, and `gpu`.
- No accounting: `sacct` refuses, so snakemake has to be told `--slurm-status-command squeue`. Finished jobs stay in
  squeue for an hour (MinJobAge).
- The configuration has to be /etc/slurm: snakemake-executor-plugin-slurm-jobstep removes SLURM_CONF before it calls
  srun. A configuration that is not ours is never touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge")
NODES, GPUS = 2, 2
MEMORY_MB = 128_000  # that each node claims to have, whatever it has: room for the shipped profile
_ETC = Path("/etc/slurm")
_MARK = "# throw-away Slurm of the tests\n"
_START_SECONDS = 30


@dataclass(frozen=True)
class Job:
    """A job as Slurm knows it.

    rule: the executor's comment. memory_mb: asked for on a node. gpus: asked for, in Slurm's words.
    """

    number: str
    name: str
    rule: str
    partition: str
    state: str
    memory_mb: float
    gpus: str

    @classmethod
    def of(cls, line: str) -> Job:
        """From a line of `scontrol --oneliner show job`."""
        values = dict(word.split("=", 1) for word in line.split() if "=" in word)
        memory = values["MinMemoryNode"]
        return cls(
            values["JobId"],
            values["JobName"],
            values.get("Comment", ""),
            values["Partition"],
            values["JobState"],
            float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]],
            values.get("TresPerJob", ""),
        )


def unusable() -> str:
    """Why no Slurm can be started here; empty where one can."""
    if os.geteuid() != 0:
        return "needs root, to start Slurm's daemons"
    if not Path("/etc/debian_version").exists():
        return "needs Debian, for its Slurm packages"
    if (_ETC / "slurm.conf").exists() and not (_ETC / "slurm.conf").read_text().startswith(_MARK):
        return f"{_ETC}/slurm.conf belongs to a real cluster"
    if (
        not installed()
        and subprocess.run(["apt-cache", "show", PACKAGES[0]], capture_output=True).returncode
    ):
        return "Slurm is not installed and apt does not know its packages (apt-get update)"
    return ""


def installed() -> bool:
    """Whether Slurm's daemons are there."""
    return all(shutil.which(program) for program in ("slurmctld", "slurmd", "squeue", "munged"))


def install() -> None:
    """Install Slurm from Debian's packages."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, check=True, capture_output=True, env=environment)


class Cluster:
    """The running Slurm; a context manager. `state`: folder for its sockets, logs and process ids."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def __enter__(self) -> Cluster:
        if not installed():
            install()
        for folder in (_ETC, self.state / "ctld", self.state / "munge"):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.state, self.state / "munge"):
            folder.chmod(0o755)
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def jobs(self) -> list[Job]:
        """Every job of the last hour, in the order of submission."""
        command = ["scontrol", "--oneliner", "show", "job"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        jobs = [Job.of(line) for line in done.stdout.splitlines() if line.startswith("JobId=")]
        return sorted(jobs, key=lambda job: int(job.number))

    def cancel(self, *jobs: Job) -> None:
        """scancel."""
        subprocess.run(["scancel", *(job.number for job in jobs)], check=True)

    def _start(self) -> None:
        munge = self.state / "munge"
        (munge / "munge.key").write_bytes(os.urandom(128))
        (munge / "munge.key").chmod(0o400)
        files = {
            "key-file": "munge.key",
            "seed-file": "seed",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
        }
        options = [f"--{option}={munge / name}" for option, name in files.items()]
        subprocess.run(["munged", "--force", *options], check=True, capture_output=True)
        self._configure()
        subprocess.run(["slurmctld", "-c"], check=True, capture_output=True)
        for node in range(1, NODES + 1):
            subprocess.run(["slurmd", "-N", f"n{node}"], check=True, capture_output=True)
        idle = ["sinfo", "--noheader", "--partition=cpu", "--states=idle", "--format=%D"]
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if subprocess.run(idle, capture_output=True, text=True).stdout.strip() == str(NODES):
                return
            time.sleep(0.5)
        logs = "\n".join(path.read_text()[-2000:] for path in self.state.glob("*.log"))
        raise RuntimeError(f"Slurm did not come up in {_START_SECONDS} s\n{logs}")

    def _configure(self) -> None:
        devices = [self.state / f"gpu{number}" for number in range(GPUS)]
        for device in devices:
            device.touch()
        (_ETC / "gres.conf").write_text("".join(f"Name=gpu File={device}\n" for device in devices))
        text = _SLURM_CONF.format(
            state=self.state,
            host=socket.gethostname().partition(".")[0],
            processors=os.cpu_count(),
            memory=MEMORY_MB,
            gpus=GPUS,
            nodes=NODES,
            last_port=17000 + NODES,
        )
        (_ETC / "slurm.conf").write_text(_MARK + text)

    def _stop(self) -> None:
        """End jobs, and the daemons by the process ids that they wrote, and remove the configuration."""
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(["scancel", "--me"], capture_output=True, timeout=20)
            time.sleep(1)  # slurmd ends what runs while it is there itself
        pid_files = [
            *self.state.glob("slurmd.*.pid"),
            self.state / "slurmctld.pid",
            self.state / "munge" / "pid",
        ]
        for pid_file in pid_files:
            if pid_file.exists() and (pid := pid_file.read_text().strip()).isdigit():
                _end(int(pid))
        for name in ("slurm.conf", "gres.conf"):
            (_ETC / name).unlink(missing_ok=True)


def _end(pid: int, seconds: float = 20) -> None:
    """Terminate a daemon and wait until it is gone; killed where it does not go."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while _runs(pid):
            if time.monotonic() > deadline:
                break
            time.sleep(0.25)


def _runs(pid: int) -> bool:
    """Whether a process lives; one that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


_SLURM_CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={state}/munge/socket
CredType=cred/munge
StateSaveLocation={state}/ctld
SlurmdSpoolDir={state}/spool.%n
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.%n.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.%n.log
# no systemd and no writable cgroups: track and launch processes the plain way
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=1,bf_interval=5
# refuse a job that no node can ever run, rather than leave it pending
EnforcePartLimits=ALL
MinJobAge=3600
KillWait=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=DEFAULT CPUs={processors} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-{last_port}]
PartitionName=cpu Nodes=ALL Default=YES MaxTime=24:00:00 State=UP
PartitionName=gpu Nodes=ALL MaxTime=24:00:00 State=UP
"""
