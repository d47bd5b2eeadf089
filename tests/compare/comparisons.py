"""What the tests of ``compare`` share: a grid so small that it is trained in seconds, in this very process."""

from pathlib import Path

from pyro_vae import lifecycle
from pyro_vae.compare import processes
from pyro_vae.compare.command import conclude, work_through
from pyro_vae.compare.options import make_plan
from pyro_vae.compare.work import Work

NETWORK = ["--encoder.hidden_dims", "[16]", "--decoder.hidden_dims", "[16]", "--latent_dim", "2", "--engine", "eager"]
EVALUATION = ["--evaluate.elbo_samples", "10", "--evaluate.images", "60", "--evaluate.gap_images", "4"]
EVALUATION += ["--evaluate.iwae_samples", "20", "--evaluate.evidence_images", "4", "--evaluate.evidence.fit.steps", "5"]
EVALUATION += ["--evaluate.evidence.search.steps", "5", "--evaluate.evidence.annealing.temperatures", "2"]
EVALUATION += [
    "--evaluate.certificate_images",
    "4",
    "--evaluate.most_temperatures",
    "3",
    "--evaluate.local.max_steps",
    "20",
]
EVALUATION += ["--evaluate.local.check_every", "10", "--evaluate.best_samples", "20", "--evaluate.local.patience", "1"]
QUICK = ["--epochs", "2", "--measures", "elbo"]
SMALL = [*NETWORK, *EVALUATION, "--final_samples", "2", "--device", "cpu"]


def in_this_process(trials, work, told, workers, devices=("",)):
    """Stands for ``run_in_processes``."""
    for trial in trials:
        try:
            work(trial)
        except Exception as error:
            told(trial, processes.reason(error))
        else:
            told(trial, None)


def compare(monkeypatch, *words):
    """The command without processes; returns the comparison."""
    monkeypatch.setattr(processes, "run_in_processes", in_this_process)
    argv = [*words, *SMALL]
    return conclude(work_through(make_plan(argv), argv))


def counted(monkeypatch):
    """The names of the runs that are trained from here on."""
    trained = []
    for name in ("begin", "reopen"):
        original = getattr(lifecycle, name)

        def spy(what, *rest, original=original, **named):
            trained.append(Path(what if isinstance(what, Path) else what.config.out).name)
            return original(what, *rest, **named)

        monkeypatch.setattr(lifecycle, name, spy)
    return trained


class WithoutPictures(Work):
    """The work of a process that draws nothing, which takes longer than so small a run."""

    def __call__(self, trial):
        from pyro_vae.training.log import Log

        Log.pictures = lambda *_: None
        super().__call__(trial)
