"""The command, from its options to the report."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pyro_vae.command_line import CommandParser
from pyro_vae.compare.analysis import analyse, in_words
from pyro_vae.compare.dashboard import Dashboard
from pyro_vae.compare.options import Plan, compare_parser, make_plan, require_choice
from pyro_vae.compare.record import Comparison, as_csv, as_json, table
from pyro_vae.compare.results import read
from pyro_vae.compare.work import Work, cores
from pyro_vae.errors import InputError
from pyro_vae.files import make_folder, remove_partial, write_atomic
from pyro_vae.locks import only
from pyro_vae.tables import print_table
from pyro_vae.terminal import PlainConsole, printable


def command_parser() -> CommandParser:
    """The options of the command."""
    return compare_parser(torch.cuda.is_available())


def main(argv: list[str]) -> None:
    """The command: see ``python -m pyro_vae.compare --help``."""
    require_choice(argv)
    plan = make_plan(argv)
    with only_one(plan.out):
        failed = work_through(plan)
        conclude(plan, argv, failed)


def work_through(plan: Plan) -> dict[str, str]:
    """Do all runs that are not done yet; return the reasons of failed ones, by name."""
    logs = make_folder(plan.out / "logs")
    devices = _devices(plan.device)
    slots = len(devices) or (1 if plan.device.startswith("cuda") else cores())
    workers = min(plan.workers or slots, len(plan.trials))
    # Together at most the number of cores, and each at most OMP_NUM_THREADS.
    threads = max(1, min(cores() // workers, torch.get_num_threads()))
    work = Work(logs, plan.evaluate, plan.metrics, plan.measure_train, threads, plan.trust)
    with Dashboard(plan.trials) as dashboard:
        try:
            if plan.ray is None:
                from pyro_vae.compare.processes import run_in_processes

                run_in_processes(plan.trials, work, dashboard.tell, workers, devices or [""])
            else:
                from pyro_vae.compare.cluster import run_on_ray

                run_on_ray(plan.trials, work, dashboard.tell, plan.ray, workers, work.threads, plan.device)
        except KeyboardInterrupt:
            dashboard.say("stopped; every finished epoch is kept: the same command resumes")
            sys.exit(130)
    return {path.name: reason for path, reason in dashboard.failed.items()}


def _devices(name: str) -> list[str]:
    """The GPUs that the workers take in turn, from CUDA_VISIBLE_DEVICES; empty on a CPU or if the option names one."""
    if name not in ("auto", "cuda") or not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]


def conclude(plan: Plan, argv: list[str], failed: dict[str, str]) -> Comparison:
    """Compare the finished runs; write and print the result.

    Raises:
        InputError: if no run has finished.
    """
    results = [read(trial) for trial in plan.trials if trial.name not in failed]
    if not results:
        raise InputError(f"no run has finished: {'; '.join(f'{name}: {why}' for name, why in failed.items())}")
    from pyro_vae.compare.pictures import findings_picture
    from pyro_vae.compare.report import as_html
    from pyro_vae.pictures import figure_bytes

    reports = analyse([arm.name for arm in plan.arms], results, plan.baseline, plan.confidence)
    comparison = Comparison(
        argv,
        plan.data,
        plan.baseline,
        plan.confidence,
        plan.arms,
        plan.trials,
        failed,
        reports,
        in_words(reports, plan.baseline),
    )
    write_atomic(plan.out / "comparison.json", as_json(comparison))
    write_atomic(plan.out / "comparison.csv", as_csv(comparison))
    write_atomic(plan.out / "report.html", as_html(comparison))
    if picture := findings_picture(comparison):
        write_atomic(plan.out / "comparison.png", figure_bytes(picture))
    console = PlainConsole()
    print_table(console, table(comparison))
    for line in comparison.words:
        console.print(line, highlight=False, markup=False)
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
