"""The shape that the commands of a trained run share: RUN, DATA, ``--out FILE``, and the options of a function."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import Namespace

from pyro_vae.command_line import CommandParser
from pyro_vae.device import choose_device
from pyro_vae.encoding import columns_of_run
from pyro_vae.errors import InputError
from pyro_vae.options import add_trust, parse_arguments
from pyro_vae.runs import Run, load
from pyro_vae.terminal import on_stderr, printable
from pyro_vae.trust import check_data_root
from pyro_vae.use.outputs import Output, check_out, check_pictures, save
from pyro_vae.use.rows import Reading, Rows, rows_of

#: arguments of a function that the command gives otherwise
TAKEN = frozenset({"run", "x", "path", "trust"})


class Use(NamedTuple):
    """A command of a trained run.

    Attributes:
        name: of the command.
        does: the first line of its help.
        function: whose arguments are options, but for those in :data:`TAKEN`.
        writes: what ``--out`` is for.
        example: the words after the command's name.
        data: whether it takes DATA.
        pictures: whether its result is images.
        folder: whether ``--out`` is a folder and no file.
        flags: the function's arguments that are false unless they are named, with their help.
    """

    name: str
    does: str
    function: Callable[..., Any]
    writes: str
    example: str
    data: bool = True
    pictures: bool = False
    flags: Mapping[str, str] = {}
    folder: bool = False

    @property
    def out_word(self) -> str:
        return "DIR" if self.folder else "FILE"

    def parser(self) -> CommandParser:
        """The options of the command."""
        parser = CommandParser(prog=f"pyro-vae {self.name}", description=self.does, exit_on_error=False)
        parser.add_argument("run", type=Path, metavar="RUN", help="the run folder")
        if self.data:
            text = "the name of a data set, or the path of a .npy, .npz or .csv file or of a folder of images"
            parser.add_argument("data", type=str, metavar="DATA", help=text)
        parser.add_argument("--out", type=Path, metavar=self.out_word, help=self.writes)
        parser.add_function_arguments(self.function, skip={*TAKEN, *self.flags}, as_group=False)
        for flag, text in self.flags.items():
            parser.add_argument(f"--{flag}", action="store_true", help=text)
        if self.data:
            parser.add_class_arguments(Reading, as_group=False)
        parser.add_argument("--device", default="auto", help="auto takes CUDA if there is a GPU")
        add_trust(parser)
        parser.epilog_lines = ["example:", f"  pyro-vae {self.name} {self.example}"]
        return parser

    def given(self, argv: list[str], needs_out: bool = True) -> "Given":
        """What the command line names: the run is loaded and the rows are read.

        Args:
            argv: the words after the command's name.
            needs_out: whether the command has nothing else to say than its file.

        Raises:
            InputError: where something is missing or does not fit, in one line.
        """
        options = parse_arguments(self.parser(), argv)
        check_out(options.out, self.pictures, self.folder)
        if not 0 <= options.get("seed", 0) < 2**63:
            raise InputError(f"--seed must be from 0 to 2^63 - 1, not {options.seed}")
        if needs_out and options.out is None:
            raise InputError(f"--out {self.out_word} is missing: {self.writes}")
        run = load(options.run, device=choose_device(options.device), trust=options.trust)
        if self.pictures and columns_of_run(run) is not None:
            check_pictures(options.out)
        rest = {"run", "data", "out", "device", "trust", "config", *Reading.__dataclass_fields__}
        own = {name: value for name, value in options.as_dict().items() if name not in rest}
        rows = self._rows(run, options) if self.data else None
        return Given(run, rows, own, options.out)

    def _rows(self, run: Run, options: Namespace) -> Rows:
        reading = Reading(*(options[name] for name in Reading.__dataclass_fields__))
        root = None if reading.data_root is not None else run.config.data_root
        if note := check_data_root(root, str(run.folder.path / "config.yaml"), options.trust):
            on_stderr(note)
        rows = rows_of(run, options.data, reading, options.get("seed") or 0, on_stderr)
        if rows.binarised:
            on_stderr("note: the run sees zeros and ones, drawn here from the gray values by --seed")
        return rows


class Given(NamedTuple):
    """What a command works on.

    Attributes:
        rows: None where the command takes no DATA.
        own: the options of the command's function.
        out: None where none was named.
    """

    run: Run
    rows: Rows | None
    own: dict[str, Any]
    out: Path | None

    def finish(self, output: Output, lines: Iterable[str] = ()) -> None:
        """Write the result, and say what there is to say."""
        for line in lines:
            print(printable(line))
        if self.out is not None:
            print(printable(save(output, self.out)))
        sys.stdout.flush()
