"""The job of :mod:`benchmarks.job` in plain Pyro, in PyTorch and in pythae.

python -m benchmarks.job_torch Pyro --epochs 8
"""

import argparse
import tempfile

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.job import BATCH, HIDDEN, LATENT, LR, PIXELS, SAMPLES, Job, gray_images


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mean, self.log_scale = (
            nn.Linear(PIXELS, HIDDEN),
            nn.Linear(HIDDEN, LATENT),
            nn.Linear(HIDDEN, LATENT),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.hidden(x).tanh()
        return self.mean(h), self.log_scale(h)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(LATENT, HIDDEN), nn.Linear(HIDDEN, PIXELS)

    def forward(self, z: Tensor) -> Tensor:
        return self.out(self.hidden(z).tanh())


def run(job: Job, epochs: int, step, elbo) -> None:
    """The job, from a step on a binary minibatch and the mean ELBO of binary images with so many samples."""
    with job.part("data"):
        train, test = map(torch.from_numpy, gray_images())
        seen = test.bernoulli()
    for _ in range(epochs):
        with job.part("steps"):
            for rows in torch.randperm(len(train)).split(BATCH):
                step(train[rows].bernoulli())
        with job.part("evaluation"):
            job.epoch(sum(elbo(x, 1) * len(x) for x in seen.split(BATCH)) / len(seen))
    with job.part("evaluation"):
        last = sum(elbo(x, SAMPLES) * len(x) for x in seen.split(BATCH)) / len(seen)
    job.finish(last)


def pyro_job(job: Job, epochs: int) -> None:
    """Pyro, as in its tutorial on the VAE."""
    with job.part("start"):
        import pyro
        import pyro.distributions as dist

        pyro.distributions.enable_validation(False)  # as the tutorial does
        encoder, decoder = Encoder(), Decoder()

        def model(x: Tensor) -> None:
            pyro.module("decoder", decoder)
            with pyro.plate("data", len(x)):
                zeros = x.new_zeros(len(x), LATENT)
                z = pyro.sample("z", dist.Normal(zeros, torch.ones_like(zeros)).to_event(1))
                pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

        def guide(x: Tensor) -> None:
            pyro.module("encoder", encoder)
            with pyro.plate("data", len(x)):
                mean, log_scale = encoder(x)
                pyro.sample("z", dist.Normal(mean, log_scale.exp()).to_event(1))

        svi = pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": LR}), pyro.infer.Trace_ELBO())
        measures = {
            count: pyro.infer.Trace_ELBO(count, vectorize_particles=count > 1, max_plate_nesting=1)
            for count in (1, SAMPLES)
        }

    def elbo(x: Tensor, samples: int) -> float:
        with torch.no_grad():
            return -measures[samples].loss(model, guide, x) / len(x)

    run(job, epochs, svi.step, elbo)


def torch_job(job: Job, epochs: int) -> None:
    """PyTorch's example of a VAE, the KL in closed form."""
    encoder, decoder = Encoder(), Decoder()
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], LR)

    def losses(x: Tensor, samples: int) -> Tensor:
        mean, log_scale = encoder(x)
        z = mean + log_scale.exp() * torch.randn(samples, *mean.shape)
        logits = decoder(z)
        distance = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="sum") / samples
        return distance + 0.5 * (mean**2 + (2 * log_scale).exp() - 1 - 2 * log_scale).sum()

    def step(x: Tensor) -> None:
        adam.zero_grad()
        losses(x, 1).backward()
        adam.step()

    def elbo(x: Tensor, samples: int) -> float:
        with torch.no_grad():
            return -losses(x, samples).item() / len(x)

    run(job, epochs, step, elbo)


def pythae_job(job: Job, epochs: int) -> None:
    """pythae's pipeline: its trainer with its loaders, its loss of the test images after each epoch."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Pixels(BaseDataset):
        """A fresh draw of an image each time that it is asked for."""

        def __getitem__(self, index):
            return super().__getitem__(index).__class__(data=self.data[index].bernoulli(), labels=self.labels[index])

    class Own(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = Encoder()

        def forward(self, x: Tensor) -> ModelOutput:
            mean, log_scale = self.net(x)
            return ModelOutput(embedding=mean, log_covariance=2 * log_scale)

    class OwnDecoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = Decoder()

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    config = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(config, Own(), OwnDecoder())
    with job.part("data"):
        train, test = map(torch.from_numpy, gray_images())
        seen = test.bernoulli()
        sets = Pixels(train, torch.zeros(len(train))), BaseDataset(seen, torch.zeros(len(seen)))

    class Ends(TrainingCallback):
        def on_log(self, training_config, logs, **given) -> None:
            if "eval_epoch_loss" in logs:
                job.epoch(-float(logs["eval_epoch_loss"]))

    with tempfile.TemporaryDirectory() as folder, job.part("steps"):
        settings = BaseTrainerConfig(
            folder,
            learning_rate=LR,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH,
            num_epochs=epochs,
            seed=0,
            no_cuda=True,
        )
        BaseTrainer(model, *sets, settings, [Ends()]).train()

    def elbo(x: Tensor) -> float:
        q = model.encoder(x)
        mean, log_var = q.embedding, q.log_covariance
        z = mean + (0.5 * log_var).exp() * torch.randn(SAMPLES, *mean.shape)
        logits = model.decoder.net(z)
        loss = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="sum") / SAMPLES
        return -(loss + 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum()).item()

    model.eval()
    with job.part("evaluation"), torch.no_grad():
        last = sum(elbo(x) for x in seen.split(BATCH)) / len(seen)
    job.finish(last)


JOBS = {"Pyro": pyro_job, "PyTorch": torch_job, "pythae": pythae_job}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arm", choices=JOBS)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(0)
    made = Job()
    made.parts["start"] = made.seconds()
    JOBS[options.arm](made, options.epochs)
