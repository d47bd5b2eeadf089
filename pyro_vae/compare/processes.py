"""Runs in processes of this machine, one process for each run, so that a killed run does not end the others."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from queue import SimpleQueue

from pyro_vae.compare.grid import Trial

Job = Callable[[Trial], None]  #: does a trial's work, or raises
Told = Callable[[Trial, str | None], None]  #: called at the end of a trial, with the reason if it failed, else None

# The server that forks all processes imports these once; without the last three, each run would for itself (2 s).
PRELOAD = ["pyro_vae.svi", "pyro_vae.evaluate", "pyro_vae.plots", "pyro_vae.pictures"]
PRELOAD += ["torch._dynamo", "arviz_stats.base", "sklearn.datasets"]


def run_in_processes(
    trials: Sequence[Trial], work: Job, told: Told, workers: int, devices: Sequence[str] = ("",)
) -> None:
    """Do the work of each trial, ``workers`` at a time.

    Args:
        work: does a trial's work.
        told: called at the end of each trial.
        workers: the number of processes at a time.
        devices: the workers take these values of CUDA_VISIBLE_DEVICES in turn; an empty one leaves it unchanged.

    Raises:
        KeyboardInterrupt: after all processes have been stopped.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(PRELOAD)
    slots: SimpleQueue[str] = SimpleQueue()
    for i in range(workers):
        slots.put(devices[i % len(devices)])
    alive = Alive()

    def one(trial: Trial) -> str | None:
        slot = slots.get()
        try:
            return _in_a_process(context, work, trial, slot, alive)
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(workers, initializer=_leave_ctrl_c_to_the_main_thread) as pool:
        futures = {pool.submit(one, trial): trial for trial in trials}
        try:
            for future in as_completed(futures):
                told(futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            alive.stop()
            raise


class Alive:
    """The processes that run. After :meth:`stop` a process that is added is ended at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.processes: set[BaseProcess] = set()
        self.stopped = False

    def add(self, process: BaseProcess) -> None:
        """A process has started, perhaps seconds after it was asked for."""
        with self.lock:
            self.processes.add(process)
            if self.stopped:
                process.terminate()

    def discard(self, process: BaseProcess) -> None:
        """A process has ended."""
        with self.lock:
            self.processes.discard(process)

    def stop(self) -> None:
        """End all of them."""
        with self.lock:
            self.stopped = True
            for process in self.processes:
                process.terminate()


def _leave_ctrl_c_to_the_main_thread() -> None:
    """What a thread starts inherits this: the server that forks, which may be at its imports, and the processes."""
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # it would let Ctrl-C through again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _in_a_process(context: BaseContext, work: Job, trial: Trial, device: str, alive: Alive) -> str | None:
    """Run a trial in its own process; returns the reason if it failed, else None."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_live, args=(work, trial, device, theirs), daemon=True)  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    alive.add(process)
    process.join()
    alive.discard(process)
    try:
        return ours.recv() if ours.poll() else _how_it_ended(process.exitcode)
    except EOFError:
        return _how_it_ended(process.exitcode)
    finally:
        ours.close()


def _live(work: Job, trial: Trial, device: str, answer: Connection) -> None:
    """The main function of a process: work, and send the reason of a failure, or None."""
    # A terminal sends Ctrl-C to all its processes. The command answers it: it ends its runs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    parent = multiprocessing.parent_process()
    if parent is not None:
        # If the command is killed, its runs must end too, because the next command would resume them at the same time.
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        work(trial)
    except Exception as error:
        answer.send(reason(error))
    else:
        answer.send(None)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def reason(error: BaseException) -> str:
    """An error in one line."""
    words = " ".join(str(error).split())[:500]
    name = type(error).__name__
    return words if name == "InputError" and words else f"{name}: {words}".rstrip(": ")


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"
