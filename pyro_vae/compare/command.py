"""The command, from its options to the report."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from pyro_vae.command_line import CommandParser
from pyro_vae.compare.dashboard import Dashboard
from pyro_vae.compare.grid import Trial
from pyro_vae.compare.index import write_index
from pyro_vae.compare.options import Plan, compare_parser, make_plan, require_choice
from pyro_vae.compare.publish import Publisher
from pyro_vae.compare.record import Comparison, table
from pyro_vae.compare.work import Work, cores
from pyro_vae.errors import InputError, Stopped
from pyro_vae.files import make_folder, remove_partial
from pyro_vae.locks import only
from pyro_vae.options import take_option
from pyro_vae.tables import print_table
from pyro_vae.terminal import PlainConsole, printable


def command_parser() -> CommandParser:
    """The options of the command."""
    return compare_parser(torch.cuda.is_available())


def main(argv: list[str]) -> int:
    """The command: see ``python -m pyro_vae.compare --help``. Returns 3 if some of its runs failed."""
    if any(word.partition("=")[0] == "--index" for word in argv):
        folder, rest = take_option(argv, "--index", "a folder of comparisons")
        if rest:
            raise InputError(f"--index lists finished comparisons and takes no other option, so without {rest[0]}")
        print(printable(f"index: {write_index(Path(folder))}"))
        return 0
    require_choice(argv)
    plan = make_plan(argv)
    with only_one(plan.out):
        publisher = work_through(plan, argv)
        conclude(publisher)
    return 3 if publisher.failed else 0


def work_through(plan: Plan, argv: Sequence[str]) -> Publisher:
    """Do all runs that are not done yet; the report grows with each.

    Raises:
        Stopped: by Ctrl-C, after the report of what there is was written.
    """
    logs = make_folder(plan.out / "logs")
    devices = _devices(plan.device)
    slots = len(devices) or (1 if plan.device.startswith("cuda") else cores())
    workers = min(plan.workers or slots, len(plan.trials))
    # Together at most the number of cores, and each at most OMP_NUM_THREADS.
    threads = max(1, min(cores() // workers, torch.get_num_threads()))
    work = Work(logs, plan.evaluate, plan.metrics, plan.measure_train, threads, plan.trust)
    dashboard = Dashboard(plan.trials)
    publisher = Publisher(plan, argv, dashboard.say)

    def tell(trial: Trial, reason: str | None) -> None:
        dashboard.tell(trial, reason)
        publisher.tell(trial, reason)

    try:
        with dashboard:
            if plan.ray is None:
                from pyro_vae.compare.processes import run_in_processes

                run_in_processes(plan.trials, work, tell, workers, devices or [""])
            else:
                from pyro_vae.compare.cluster import run_on_ray

                run_on_ray(plan.trials, work, tell, plan.ray, workers, work.threads, plan.device)
    except KeyboardInterrupt:
        kept = "stopped; every finished epoch is kept: the same command resumes"
        if publisher.write() is not None:
            kept += f"; of the finished runs there is {plan.out / 'report.html'}"
        raise Stopped(printable(kept)) from None
    return publisher


def _devices(name: str) -> list[str]:
    """The GPUs that the workers take in turn, from CUDA_VISIBLE_DEVICES; empty on a CPU or if the option names one."""
    if name not in ("auto", "cuda") or not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]


def conclude(publisher: Publisher) -> Comparison:
    """Compare the finished runs; write and print the result.

    Raises:
        InputError: if no run has finished.
    """
    plan, failed = publisher.plan, publisher.failed
    comparison = publisher.write()
    if comparison is None:
        raise InputError(f"no run has finished: {'; '.join(f'{name}: {why}' for name, why in failed.items())}")
    console = PlainConsole()
    print_table(console, table(comparison))
    for line in comparison.answers.lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    for name, why in failed.items():
        console.print(
            f"failed: {name}: {why}; see {plan.out / 'logs' / name}.txt", highlight=False, soft_wrap=True, markup=False
        )
    print(printable(f"report: {plan.out / 'report.html'}"))
    return comparison


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Lock the folder of the comparison, so that two commands never train the same run.

    Raises:
        InputError: if another command works there.
    """
    out.mkdir(parents=True, exist_ok=True)
    with only(out / ".lock", f"another compare is at work in {out}"):
        remove_partial(out)
        yield
