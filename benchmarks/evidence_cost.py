"""What log p(x) of 100 MNIST test images costs a run, in a process of its own: seconds of its processor and memory.

python -m benchmarks.evidence_cost RUN DATA_ROOT
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

import pyro_vae
from benchmarks.memory import peak
from pyro_vae.build import sees_binary
from pyro_vae.data import Binarizer, load_data
from pyro_vae.estimators import Evidence, log_evidence
from pyro_vae.files import read_text, write_atomic
from pyro_vae.runs import RunFolder

IMAGES = 100
KEPT = "evidence_cost.json"


def cost(folder: RunFolder, data_root: Path) -> dict[str, float]:
    """Processor seconds, which other load hardly changes, peak memory and threads; kept in the run folder.

    A process keeps the largest memory that it ever had, so each run has one of its own.
    """
    path = folder.path / KEPT
    if not path.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.evidence_cost", str(folder.path), str(data_root)], check=True)
    return json.loads(read_text(path))


def main() -> None:
    folder, data_root = RunFolder(Path(sys.argv[1])), Path(sys.argv[2])
    run, settings = pyro_vae.load(folder.path), Evidence()
    certificate = folder.read_metrics()["evaluation"]["simulated"]["certificate"]["figures"]
    temperatures = round(certificate["certified_temperatures"]["value"])
    settings = replace(settings, annealing=replace(settings.annealing, temperatures=temperatures))
    x = next(Binarizer(sees_binary(run.config, run.model)).held_out(load_data("mnist", data_root).test, IMAGES))
    began = time.process_time()
    log_evidence(run.model, run.guide, x, settings)
    seconds = time.process_time() - began
    found = {"seconds": seconds, "mebibytes": peak(), "threads": torch.get_num_threads()}
    write_atomic(folder.path / KEPT, json.dumps(found))


if __name__ == "__main__":
    main()
