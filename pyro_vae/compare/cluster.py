"""The same runs as Ray tasks, on this machine or on a cluster. Ray chooses the node of each run."""

import os
from collections.abc import Sequence
from typing import Any

from pyro_vae.compare.grid import Trial
from pyro_vae.compare.processes import Job, Told, reason
from pyro_vae.errors import InputError


def run_on_ray(
    trials: Sequence[Trial],
    work: Job,
    told: Told,
    address: str,
    workers: int | None,
    threads: int,
    device: str = "auto",
) -> None:
    """Do each trial in a Ray task.

    Every node must see the folder of the comparison, the data and this package (on a shared file system, say).

    Args:
        work: does a trial's work.
        told: called at the end of each trial, with the reason if it failed, else None.
        address: "local" starts Ray on this machine; else an address for ``ray.init``: "auto", "ray://HOST:10001".
        workers: on this machine, the number of tasks at a time; a cluster decides this itself.
        threads: the number of cores that a task requests.
        device: of the runs; unless it is "cpu", a task also requests a GPU if the cluster has any.

    Raises:
        InputError: if Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(f'--ray needs Ray: pip install "pyro_vae[ray]" ({error})') from error
    here: dict[str, Any] = (
        {"num_cpus": (workers or 1) * threads, "include_dashboard": False} if address == "local" else {}
    )
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, runtime_env=_paths(), **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"--ray {address}: {' '.join(str(error).split())[:300]}") from error
    try:
        gpus = 1 if device != "cpu" and ray.cluster_resources().get("GPU") else 0
        # No retries: a failed run would fail again, and the next command resumes a run whose node was lost.
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(_one)
        open_ = {task.remote(work, trial): trial for trial in trials}
        while open_:
            for done in ray.wait(list(open_))[0]:
                trial = open_.pop(done)
                try:
                    told(trial, ray.get(done))
                except ray.exceptions.RayError as error:  # the task and its process were lost
                    told(trial, reason(error))
    finally:
        ray.shutdown()


def _paths() -> dict[str, Any]:
    """The environment of a task: it imports the user's guide from the command's working directory, as without Ray."""
    paths = [os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}


def _one(work: Job, trial: Trial) -> str | None:
    """Do a trial's work; returns the reason if it failed, else None."""
    try:
        work(trial)
    except (Exception, SystemExit) as error:
        return reason(error)
    return None
