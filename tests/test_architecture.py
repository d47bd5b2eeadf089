"""The order of dependence: data flow one way, so imports do too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each part may import those of the lines above it and those of its own line.
ORDER = [
    {"pyro_vae.interrupts", "pyro_vae.heartbeat", "pyro_vae.command_line", "pyro_vae.resident", "pyro_vae.waiting"},
    {
        "pyro_vae.errors",
        "pyro_vae.limits",
        "pyro_vae.explain",
        "pyro_vae.user_cache",
        "pyro_vae.params",
        "pyro_vae.plain",
        "pyro_vae.defaults",
        "pyro_vae.drawing",
        "pyro_vae.bits",
        "pyro_vae.observation",
    },
    {"pyro_vae.columns", "pyro_vae.seeds", "pyro_vae.distributed", "pyro_vae.nn"},
    {"pyro_vae.device", "pyro_vae.distributions"},
    {"pyro_vae.terminal", "pyro_vae.plugs", "pyro_vae.own", "pyro_vae.yaml_table"},
    {"pyro_vae.files", "pyro_vae.locks", "pyro_vae.trace", "pyro_vae.checkpoint", "pyro_vae.saved_state"},
    {
        "guides",
        "pyro_vae.schedules",
        "pyro_vae.lr_schedules",
        "pyro_vae.optim",
        "pyro_vae.trackers",
    },
    {"pyro_vae.presets", "pyro_vae.models"},
    {"pyro_vae.objectives"},
    {"pyro_vae.engine", "pyro_vae.estimators", "pyro_vae.data"},
    {"pyro_vae.programs"},
    {"pyro_vae.config"},
    {"pyro_vae.kinds", "pyro_vae.trust"},
    {"pyro_vae.options", "pyro_vae.run_options", "pyro_vae.build"},
    {"pyro_vae.origin", "pyro_vae.names", "pyro_vae.tables"},
    {"pyro_vae.run_help", "pyro_vae.runs", "pyro_vae.cli", "pyro_vae.plots", "pyro_vae.event_file"},
    {"pyro_vae.better", "pyro_vae.rank_pictures", "pyro_vae.posterior_pictures"},
    {"pyro_vae.table_pictures"},
    {"pyro_vae.run_pictures"},
    {"pyro_vae.pictures", "pyro_vae.events", "pyro_vae.live", "pyro_vae.traces", "pyro_vae.encoding"},
    {"pyro_vae.metrics"},
    {"pyro_vae.use", "pyro_vae.testing"},
    {"pyro_vae.starting"},
    {"pyro_vae.training"},
    {"pyro_vae.svi"},
    {"pyro_vae.lifecycle"},
    {"pyro_vae.evaluate", "pyro_vae.sklearn"},
    {"pyro_vae.pair"},
    {"pyro_vae.compare", "pyro_vae.explore"},
    {"pyro_vae.commands", "pyro_vae.completion", "pyro_vae.__main__"},
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
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


MODELS_MAY_IMPORT = {
    ("guides", "Guide"),
    ("guides.base", "LabelUse"),
    ("guides.labelled", "LabelGuide"),
    ("guides.labelled", "M2Guide"),
}


@pytest.mark.parametrize("path", sorted((ROOT / "pyro_vae" / "models").rglob("*.py")), ids=name_of)
def test_models_know_of_guides_the_type_and_the_guides_of_labels(path):
    named = {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "guides"
        for alias in node.names
    }
    assert named <= MODELS_MAY_IMPORT


def test_guides_import_shared_ground_only():
    """Networks, distributions, how parameters are announced, what others declare: nothing of models or training."""
    allowed = {"guides", "pyro_vae.nn", "pyro_vae.distributions", "pyro_vae.params", "pyro_vae.plugs"}
    for path in (ROOT / "guides").glob("*.py"):
        assert imports(path) <= allowed, path


def test_help_lists_every_guide_and_leaves_the_heavy_libraries_alone():
    """What `--help` imports: torch and Pyro, not what only runs, pictures or downloads need."""
    heavy = ["sympy", "torchvision", "matplotlib", "sklearn", "tensorboard", "scipy.stats"]
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


# The sizes that a reader can hold.

#: files over 300 lines, with the reason
LONG_FILES: dict[str, str] = {}
#: functions over 60 lines, without their docstrings, with the reason
LONG_FUNCTIONS: dict[str, str] = {}
#: functions with more than 7 parameters, with the reason
MANY_PARAMETERS = {
    "pyro_vae.data.sources.load_data": "how data are read, each way documented there",
    "pyro_vae.evaluate.command.evaluate": "the options of the command, each documented there",
}


def functions(path: Path) -> list[tuple[str, int, int]]:
    """Every function of a file: its name, its lines without its docstring, and its parameters but ``self``."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            lines = (node.end_lineno or 0) - node.lineno + 1 - docstring
            named = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            found.append((f"{name_of(path)}.{node.name}", lines, len(set(named) - {"self", "cls"})))
    return found


def test_the_page_of_algorithm_1_has_at_most_150_lines():
    assert len((ROOT / "pyro_vae" / "svi.py").read_text().splitlines()) <= 150


def test_no_file_has_over_300_lines():
    long = {name_of(p) for p in modules() if len(p.read_text(encoding="utf-8").splitlines()) > 300}
    assert not long - LONG_FILES.keys(), "split it, or give the reason here"


def test_no_function_has_over_60_lines():
    long = {name for path in modules() for name, lines, _ in functions(path) if lines > 60}
    assert not long - LONG_FUNCTIONS.keys(), "split it, or give the reason here"


def test_no_function_but_a_constructor_has_over_7_parameters():
    """The options of a class are documented one by one, so that a constructor may have more."""
    every = [found for path in modules() for found in functions(path) if not found[0].endswith(".__init__")]
    many = {name for name, _, parameters in every if parameters > 7}
    assert not many - MANY_PARAMETERS.keys(), "join what belongs together, or give the reason here"
