"""Public names are real for editors and type checkers, and stay lazy at run time.

python tests/test_typed_names.py        # writes the __init__.pyi of each package of plugs
"""

import ast
import subprocess
import sys
import typing
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import pyro_vae
from pyro_vae.config import Config
from pyro_vae.run_options import RunOptions

ROOT = Path(__file__).parent.parent
#: the packages whose classes are found by the files that define them
PACKAGES = (
    "guides",
    "pyro_vae.models",
    "pyro_vae.models.decoders",
    "pyro_vae.models.likelihoods",
    "pyro_vae.models.priors",
    "pyro_vae.objectives",
)

USER_CODE = """
import numpy as np
import pyro_vae
import guides
import torch
from guides import GUIDES, IAF, Guide, MeanField, MLPEncoder
from pyro_vae.models import PRIORS, Gaussian, MixturePrior, Prior
from pyro_vae.models.priors import StandardNormal
from pyro_vae.nn import softplus_scale
from pyro_vae.objectives import IWAE, Objective, elbo_terms

prior: Prior = MixturePrior(2, components=3)
kind_of_prior: type[Prior] = PRIORS["VampPrior"]
objective: Objective = IWAE(num_particles=5)
encoder = MLPEncoder((1, 8, 8), hidden_dims=[32])
guide: Guide = IAF(encoder, 5, transforms=2)
kind: type[Guide] = GUIDES["IAF"]
run = pyro_vae.train(data="digits", guide="IAF", latent_dim=5, epochs=1)
own = pyro_vae.train(guide=MeanField, decoder={"class_path": "MLPDecoder", "init_args": {"hidden_dims": [8]}})
again = pyro_vae.load("runs/iaf")
log_joint = again.model.log_joint
z = pyro_vae.features(again, [[0.0]], "mean")


def program(x: torch.Tensor) -> None: ...


pair = pyro_vae.wrap(program, program)
model, own_guide = pair
found = pair.evaluate(torch.ones(3, 2), metrics=["elbo"], quiet=True)
value: float = found["elbo"].value
bounds: list[float] = pair.train(np.ones((3, 2)), epochs=1)
in_memory = pyro_vae.train(data=np.ones((30, 4, 4)), program="my_module:make")
later = pyro_vae.resume("runs/iaf", data=torch.ones(30, 4, 4))
pyro_vae.wrap(program)  # error
pair.evaluate()  # error
pyro_vae.train(data=3)  # error
pyro_vae.train(gide="IAF")  # error
pyro_vae.train(latent_dim="five")  # error
pyro_vae.train(engine="fast")  # error
pyro_vae.load(3)  # error
pyro_vae.lode("runs/iaf")  # error
pyro_vae.features(again, [[0.0]], "average")  # error
guides.IAFF  # error
IAF(encoder, "five")  # error
MixturePrior("two")  # error
Gaussian((1, 8, 8), scale="wide")  # error
prior = StandardNormal()  # error
again.modle  # error
softplus_scale(3)  # error
"""


def stub(package: str) -> str:
    """The text of the package's ``__init__.pyi``: what it imports under its own name, what it finds, its tables."""
    imported, tables = set(), []
    for node in ast.parse(Path(import_module(package).__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            imported |= {(node.module, alias.name) for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.AnnAssign):
            tables.append(f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}\n")
    found = {
        (one.__module__, name)
        for name, one in vars(import_module(package)).items()
        if name in import_module(package).__all__ and isinstance(one, type) and one.__module__.startswith(f"{package}.")
    }
    # A class that is imported from the package of its kind is not named a second time.
    found = {pair for pair in found if pair[1] not in {name for _, name in imported}}
    lines = (f"from {module} import {name} as {name}\n" for module, name in sorted(imported | found, key=_sorting))
    head = f'"""Written by ``python tests/test_typed_names.py``; a test holds it against what {package} finds."""\n\n'
    return head + "".join(lines) + "\n" + "".join(tables)


def _sorting(pair: tuple[str, str]) -> tuple:
    module, name = pair
    return module, 0 if name.isupper() else 1 if name[0].isupper() else 2, name.lower()


def stub_file(package: str) -> Path:
    return ROOT.joinpath(*package.split("."), "__init__.pyi")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_stub_names_every_class_that_is_found(package):
    assert stub_file(package).read_text() == stub(package), "write it: python tests/test_typed_names.py"


def test_options_of_train_are_the_fields_of_config():
    assert set(RunOptions.__annotations__) == {field.name for field in fields(Config)}


def test_plain_options_have_the_types_of_config():
    config, options = typing.get_type_hints(Config), typing.get_type_hints(RunOptions)
    paths = {"data_root", "out", "data"}  # from Python a string will do, or the data themselves
    plain = [name for name in config if "Callable" not in str(config[name]) and name not in paths]
    assert {name: options[name] for name in plain} == {name: config[name] for name in plain}


def test_public_names_are_listed_and_static():
    assert dir(pyro_vae) == sorted(pyro_vae.__all__)
    assert set(pyro_vae._PUBLIC) == set(pyro_vae.__all__) - {"__version__"}
    for name in pyro_vae.__all__:
        assert getattr(pyro_vae, name) is not None


def test_no_submodule_hides_a_public_name():
    """Importing a submodule sets an attribute of its package, which must not take the place of a public function."""
    script = "import pyro_vae, sys\nfrom importlib import import_module\nfrom pkgutil import walk_packages\n"
    script += "for m in walk_packages(pyro_vae.__path__, 'pyro_vae.'):\n"
    script += "    if not m.name.endswith('__main__'): import_module(m.name)\n"
    script += "print([n for n in pyro_vae._PUBLIC if not callable(getattr(pyro_vae, n))])\n"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
    for package in (
        pyro_vae,
        *(import_module(m.name) for m in walk_packages(pyro_vae.__path__, "pyro_vae.") if m.ispkg),
    ):
        below = {m.name.rpartition(".")[2] for m in walk_packages(package.__path__, f"{package.__name__}.")}
        functions = {name for name in getattr(package, "__all__", ()) if name in below}
        hidden = {n for n in functions if getattr(package, n).__class__.__name__ == "module"}
        assert not hidden, f"{package.__name__}: {hidden}"


def test_user_code_type_checks(tmp_path):
    mypy = pytest.importorskip("mypy.api")
    file = tmp_path / "user_code.py"
    file.write_text(USER_CODE)
    options = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", "--no-error-summary"]
    said, problems, _ = mypy.run([*options, "--config-file=", str(file)])
    assert not problems
    found = {int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line}
    expected = {number for number, line in enumerate(USER_CODE.splitlines(), 1) if line.endswith("# error")}
    assert found == expected, said


if __name__ == "__main__":
    for one in PACKAGES:
        stub_file(one).write_text(stub(one))
        print(f"wrote {stub_file(one)}")
