"""A new plug of each kind in a package of somebody else: one file and one line of its declaration are all it takes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: by kind: the option, the entry-point group, the name, the file of the plug, and its contract check
PLUGS = {
    "model": (
        "models",
        "NewModel",
        "from pyro_vae.models import VAE\nclass NewModel(VAE):\n    pass\n",
        "check_model",
    ),
    "decoder": (
        "decoders",
        "NewDecoder",
        "from pyro_vae.models import MLPDecoder\nclass NewDecoder(MLPDecoder):\n    pass\n",
        "check_decoder",
    ),
    "likelihood": (
        "likelihoods",
        "NewLikelihood",
        "from pyro_vae.models import Bernoulli\nclass NewLikelihood(Bernoulli):\n    pass\n",
        "check_likelihood",
    ),
    "prior": (
        "priors",
        "NewPrior",
        "from pyro_vae.models import StandardNormal\nclass NewPrior(StandardNormal):\n    pass\n",
        "check_prior",
    ),
    "encoder": (
        "encoders",
        "NewEncoder",
        "from guides import MLPEncoder\nclass NewEncoder(MLPEncoder):\n    pass\n",
        "check_encoder",
    ),
    "guide": (
        "guides",
        "NewGuide",
        "from guides.mean_field import MeanField\nclass NewGuide(MeanField):\n    '''A new family.'''\n",
        "check_guide",
    ),
    "objective": (
        "objectives",
        "NewObjective",
        "from pyro_vae.objectives import Trace_ELBO\nclass NewObjective(Trace_ELBO):\n    pass\n",
        "check_objective",
    ),
    "beta": (
        "schedules",
        "NewSchedule",
        "from pyro_vae.schedules import Linear\nclass NewSchedule(Linear):\n    pass\n",
        "check_schedule",
    ),
    "lr_schedule": (
        "lr_schedules",
        "new_rate",
        "def new_rate(progress: float) -> float:\n    return 1 - progress / 2\n",
        "check_lr_schedule",
    ),
    "data": (
        "data_sets",
        "new_digits",
        "from dataclasses import replace\nfrom pyro_vae.data.sets.digits import DIGITS\n"
        "new_digits = replace(DIGITS, name='new_digits')\n",
        "check_data_set",
    ),
    "metric": (
        "metrics",
        "new_metric",
        "from pyro_vae.metrics.elbo import Elbo\n"
        "class new_metric(Elbo):\n    '''A new metric.'''\n    name, compared, against = 'new_metric', (), ''\n",
        "check_metric",
    ),
    "tracker": (
        "trackers",
        "new_notebook",
        "import uuid\n"
        "class new_notebook:\n"
        "    def start(self, name, options, resumed):\n        return resumed or uuid.uuid4().hex\n"
        "    def log(self, step, values):\n        pass\n"
        "    def finish(self, values, files):\n        pass\n",
        "check_tracker",
    ),
    "run_picture": (
        "run_pictures",
        "new_picture",
        "from dataclasses import replace\nfrom pyro_vae.run_pictures import OWN\n"
        "new_picture = replace(OWN['latent'], name='new_picture')\n",
        "check_run_picture",
    ),
}
SCRIPT = """
import sys
from importlib import import_module
from pyro_vae import evaluate, svi, testing
from pyro_vae.config import Config
from pyro_vae.data import load_data
from pyro_vae.run_pictures import run_pictures
from pyro_vae.options import make_parser, parse_arguments, settle
words = sys.argv[1:]
plugs = [word.split("=") for word in words]
parser = make_parser()
WORDS = vars(Config)["__dataclass_fields__"]
options = [part for option, name, _ in plugs if option in WORDS for part in (f"--{option}", name)]
config = settle(parser, parse_arguments(parser, options)).config
load_data(config.data)
assert {"new_picture", "latent"} <= run_pictures().keys()
for option, name, check in plugs:
    getattr(testing, check)(getattr(import_module(f"new_package.{option}"), name))
    print("CHECKED", name)
for command in (evaluate, svi):
    try:
        command.main(["--help"])
    except SystemExit:
        pass
"""


def test_a_plug_of_each_kind_is_one_file_and_one_line_of_its_package(tmp_path):
    """The command line takes each by its name, ``--help`` lists it, and its contract check passes."""
    site = tmp_path / "site"
    (site / "new_package").mkdir(parents=True)
    (site / "new_package" / "__init__.py").write_text("")
    info = site / "new_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: new_package\nVersion: 1.0\n")
    declared = ""
    for option, (group, name, text, _) in PLUGS.items():
        (site / "new_package" / f"{option}.py").write_text(text)
        declared += f"[pyro_vae.{group}]\n{name} = new_package.{option}:{name}\n"
        print(f"{option}: new_package/{option}.py, and a line in [pyro_vae.{group}]")
    (info / "entry_points.txt").write_text(declared)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "COLUMNS": "100"}
    words = [f"{option}={name}={check}" for option, (_, name, _, check) in PLUGS.items()]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.partition("usage:")[2]
    for _, name, _, _ in PLUGS.values():
        assert f"CHECKED {name}\n" in done.stdout
        assert name in shown or name == "new_picture", f"--help does not name {name}"


def test_every_entry_point_group_has_a_plug_here():
    from pyro_vae.plugs import GROUPS

    assert {option: f"pyro_vae.{group}" for option, (group, *_) in PLUGS.items()} == GROUPS
