"""A real SLURM does the work, where one is installed: `apt-get install slurmctld slurmd slurm-client`."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medseg.api.data import check_data
from medseg.machine.crew.crew import Needs
from medseg.machine.crew.opened import opened
from medseg.testing.cases import write_brats

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not here: it comes with medseg[cluster]")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("slurmctld") and shutil.which("slurmd") and getpass.getuser() == "root"),
        reason="SLURM is not here, or this is not root: apt-get install slurmctld slurmd slurm-client",
    ),
]

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=1
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One node of two cores, controller and daemon on 127.0.0.1, without passwords and without accounts."""
    place = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (place / name).mkdir()
    host, ports = socket.gethostname().split(".")[0], (free_port(), free_port())
    (place / "slurm.conf").write_text(CONFIGURATION.format(host=host, ports=ports, place=place))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(place / "slurm.conf"))
        patch.setenv("OMP_NUM_THREADS", "1")
        daemons = [subprocess.Popen([name, "-D", "-c"], cwd=place) for name in ("slurmctld", "slurmd")]
        try:
            until = time.monotonic() + 60
            while b"idle" not in subprocess.run(["sinfo", "-h"], capture_output=True, check=False).stdout:
                assert time.monotonic() < until, (place / "slurmctld.log").read_text()
                time.sleep(0.2)
            yield
        finally:
            for daemon in reversed(daemons):
                daemon.terminate()
                daemon.wait(30)


def jobs() -> int:
    return len(subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout.splitlines())


@pytest.mark.usefixtures("slurm")
def test_jobs_do_what_this_machine_does_and_those_of_a_job_that_is_cancelled_are_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_brats(tmp_path / "data", cases=3, seed=3)
    (tmp_path / "data" / "Brats_002" / "Brats_002_t1.nii.gz").write_bytes(b"torn")
    once = f"__import__('pathlib').Path({str(tmp_path / 'once')!r})"
    cancel = "__import__('os').system('scancel $SLURM_JOB_ID; sleep 60')"
    tasks = ["2 * 0", "2 * 1", f"4 if {once}.exists() else ({once}.touch(), {cancel})", "2 * 3"]
    (tmp_path / "keys").mkdir(mode=0o700)

    with opened("slurm:2", 1, keys=lambda: tmp_path / "keys") as crew:
        found = dict(crew.results(tasks, eval, len, needs=Needs(write=tmp_path / "out")))
        assert found == {task: 2 * number for number, task in enumerate(tasks)}
        crew.rest()
    reports = []
    for cache, on in (("here", ""), ("there", "slurm:1")):
        monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / cache))
        reports.append(check_data("brats2d", Path("data"), on=on).report)
    assert reports[0].fingerprint() == reports[1].fingerprint()
    assert [each.found for each in reports[0].faults] == [each.found for each in reports[1].faults] != []

    until = time.monotonic() + 20
    while jobs():  # they are cancelled when the command ends
        assert time.monotonic() < until
        time.sleep(0.2)
    assert not list(tmp_path.glob("*.out"))
    assert not list((tmp_path / "keys").iterdir())
