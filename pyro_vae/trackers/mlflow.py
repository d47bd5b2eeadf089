"""MLflow: runs go to MLFLOW_TRACKING_URI, or without it into the file mlflow.db, which ``mlflow ui`` shows offline."""

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

from pyro_vae.errors import InputError
from pyro_vae.trackers.base import Options

HERE = "sqlite:///mlflow.db"  #: a database in the working directory: no server and no account
EXPERIMENT = "pyro_vae"  #: unless MLFLOW_EXPERIMENT_NAME names another


class MLflow:
    """Runs of MLflow, by its client: nothing of its global state is used, so two runs in one process stay apart."""

    def __init__(self) -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise InputError("--tracker mlflow needs MLflow: pip install 'pyro_vae[mlflow]'") from error
        logging.getLogger("mlflow.store").setLevel(logging.WARNING)  # it speaks of tables
        uri = os.environ.get("MLFLOW_TRACKING_URI", HERE)
        try:
            self.client = MlflowClient(uri)
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
            experiment = self.client.get_experiment_by_name(name)
            self.experiment = experiment.experiment_id if experiment else self.client.create_experiment(name)
        except MlflowException as error:
            words = " ".join(str(error).split())[:300]
            raise InputError(f"--tracker mlflow cannot use {uri} (MLFLOW_TRACKING_URI): {words}") from error
        self.run = ""

    def start(self, name: str, options: Options, resumed: str | None) -> str:
        """Begin a run, or go on with one; its parameters are the options."""
        from mlflow.entities import Param

        if resumed is not None:
            self.run = resumed
            self.client.update_run(resumed, status="RUNNING")
            return resumed
        self.run = self.client.create_run(self.experiment, run_name=name).info.run_id
        params = [Param(option, str(value)) for option, value in options.items()]
        self.client.log_batch(self.run, params=params)
        return self.run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics at a step."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(
            self.run, [Metric(name, value, now, step) for name, value in values.items() if math.isfinite(value)]
        )

    def finish(self, values: Mapping[str, float], files: Path) -> None:
        """The result as metrics, the pictures as artifacts, and the end of the run."""
        self.log(0, values)
        if files.is_dir():
            self.client.log_artifacts(self.run, str(files), "figures")
        self.client.set_terminated(self.run)
