"""The same runs as Ray tasks, on this machine or on a cluster. Ray decides what runs where."""

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

    Every node must see the folder of the comparison, the data and this package, as on a shared file system.

    Args:
        address: "local" starts Ray on this machine; else an address for ``ray.init``: "auto", "ray://HOST:10001".
        workers: on this machine, the number of tasks at a time; a cluster decides this itself.
        threads: cores that a task asks for.
        device: of the runs; unless it is "cpu", a task also asks for a GPU if there are any.

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
        # A failed run would fail again; the next command resumes one whose node was lost.
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(_one)
        open_ = {task.remote(work, trial): trial for trial in trials}
        while open_:
            for done in ray.wait(list(open_))[0]:
                trial = open_.pop(done)
                try:
                    told(trial, ray.get(done))
                except ray.exceptions.RayError as error:  # the task was lost, and its process with it
                    told(trial, reason(error))
    finally:
        ray.shutdown()


def _paths() -> dict[str, Any]:
    """The user's own guide is imported from the command's working directory, as without Ray."""
    paths = [os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}


def _one(work: Job, trial: Trial) -> str | None:
    """The reason why a trial failed; None if it did not."""
    try:
        work(trial)
    except (Exception, SystemExit) as error:
        return reason(error)
    return None
