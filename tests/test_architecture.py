"""The order of dependence: data flow one way, so imports do too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each part may import those of the lines above it and those of its own line. `guides` is one part, its files another
# matter; what is imported within a function is not seen here, and is not meant to turn the order round either.
ORDER = [
    {"pyro_vae.errors", "pyro_vae.params", "pyro_vae.seeds", "pyro_vae.distributed"},
    {"guides", "pyro_vae.schedules", "pyro_vae.optim"},
    {"pyro_vae.models"},
    {"pyro_vae.objectives"},
    {"pyro_vae.engine", "pyro_vae.estimators", "pyro_vae.data", "pyro_vae.testing"},
    {"pyro_vae.config"},
    {"pyro_vae.options", "pyro_vae.build"},
    {"pyro_vae.runs", "pyro_vae.cli", "pyro_vae.plots", "pyro_vae.progress", "pyro_vae.checks"},
    {"pyro_vae.pictures", "pyro_vae.log", "pyro_vae.live", "pyro_vae.traces", "pyro_vae.encoding"},
    {"pyro_vae.svi"},
    {"pyro_vae.evaluate", "pyro_vae.sklearn"},
    {"pyro_vae.compare"},
]
RANK = {part: i for i, parts in enumerate(ORDER) for part in parts}


def part_of(module: str) -> str:
    """The part that a module belongs to: ``guides.iaf`` is of ``guides``, ``pyro_vae.models.vae`` of the models."""
    names = module.split(".")
    return "guides" if names[0] == "guides" else ".".join(names[:2])


def modules() -> list[Path]:
    return [path for folder in ("guides", "pyro_vae") for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """The parts of this project that a file imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "pyro_vae":
                found |= {f"pyro_vae.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
    return {part_of(name) for name in found if name.split(".")[0] in ("guides", "pyro_vae")} - {"pyro_vae"}


def name_of(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_one_way(path):
    own = part_of(name_of(path))
    if own == "pyro_vae":
        return  # the package itself names its public functions and imports them when they are used
    assert own in RANK, f"{own} has no place in the order of dependence"
    later = {other for other in imports(path) - {own} if RANK.get(other, len(ORDER)) > RANK[own]}
    assert not later, f"{own} imports {', '.join(sorted(later))}, which comes after it"


def test_help_lists_every_guide_and_leaves_the_heavy_libraries_alone():
    """What `--help` imports: torch and Pyro, not what only runs, pictures or downloads need."""
    heavy = ["torchvision", "matplotlib", "sklearn", "tensorboard", "scipy.stats"]
    code = (
        "import sys\n"
        "from pyro_vae import svi\n"
        "try: svi.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [name for name in {heavy} if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "HEAVY []" in said
    from guides import GUIDES

    for name in GUIDES:
        assert name in said
