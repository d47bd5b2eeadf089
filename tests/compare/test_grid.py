"""From a command line to arms and runs."""

import pytest

from pyro_vae.compare.grid import expand, split, svi_words
from pyro_vae.compare.options import make_plan
from pyro_vae.errors import InputError
from pyro_vae.options import settings_from
from pyro_vae.runs import RunFolder

SMALL = ["--epochs", "1", "--encoder.hidden_dims", "[16]", "--decoder.hidden_dims", "[16]"]


def names(*words):
    return [arm.name for arm in expand(words)]


def test_lists_make_a_grid_in_the_order_given():
    assert names("--guides", "MeanField,IAF") == ["MeanField", "IAF"]
    assert names("--guides=MeanField,IAF", "--latent-dim", "2,5") == [
        "MeanField, latent_dim=2",
        "MeanField, latent_dim=5",
        "IAF, latent_dim=2",
        "IAF, latent_dim=5",
    ]
    assert names("--objective", "Trace_ELBO,IWAE(num_particles=5)") == ["Trace_ELBO", "IWAE(num_particles=5)"]
    assert names("--guide", "IAF", "--guide.transforms", "2,4") == ["guide.transforms=2", "guide.transforms=4"]
    assert names("--guides", "my_module.Mine,NSF", "--epochs", "3") == ["Mine", "NSF"]
    assert names("--latent_dim", "3") == ["run"]


def test_a_list_that_is_one_value_stays_whole():
    [arm] = expand(["--encoder.hidden_dims", "[16,16]", "--data", "a,b.npy", "--measures", "elbo,iwae"])
    assert arm.words == ["--encoder.hidden_dims", "[16,16]", "--data", "a,b.npy", "--measures", "elbo,iwae"]
    assert split("IAF(hidden_dims=[8,8]),{a: 1, b: 2},'x,y'") == ["IAF(hidden_dims=[8,8])", "{a: 1, b: 2}", "'x,y'"]


def test_options_of_a_class_are_words_of_svi_and_a_folder_is_a_plain_name():
    [_, arm] = expand(["--guides", "MeanField,IAF(transforms=2, hidden_dims=[8,8])", "--workers", "3", "--lr=0.01"])
    assert svi_words(arm.words) == [
        "--guide",
        "IAF",
        "--guide.transforms",
        "2",
        "--guide.hidden_dims",
        "[8,8]",
        "--lr",
        "0.01",
    ]
    assert arm.folder(4) == "IAF_transforms=2_hidden_dims=_8_8-seed4"


@pytest.fixture
def plan(tmp_path):
    return lambda *words: make_plan([*SMALL, "--out", str(tmp_path / "out"), *words])


def test_runs_are_paired_by_seed_and_come_seed_by_seed(plan):
    made = plan("--guides", "MeanField,FullRank", "--seeds", "2", "--seed", "7")
    assert [trial.name for trial in made.trials] == [
        "MeanField-seed7",
        "FullRank-seed7",
        "MeanField-seed8",
        "FullRank-seed8",
    ]
    configs = [settings_from(trial.text).config for trial in made.trials]
    assert [config.seed for config in configs] == [7, 7, 8, 8]
    assert [config.epochs for config in configs] == [1] * 4
    assert made.baseline == "MeanField"
    assert made.metrics[0].name == "elbo"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--guides", "MeanField,IAV"], "nearest: IAF"),
        (["--guides", "MeanField,MeanField"], "given twice"),
        (["--guides", "MeanField,,IAF"], "nothing between"),
        (["--guides", "IAF(transforms)"], "NAME=VALUE"),
        (["--guides", "MeanField,IAF(nope=2)"], "nope"),
        (["--guides", "MeanField,IAF", "--baseline", "IAV"], "nearest IAF"),
        (["--latent_dim"], "needs a value"),
        (["--seeds", "0"], "--seeds"),
        (["--workers", "0"], "--workers"),
        (["--confidence", "95"], "between 0 and 1"),
        (["--measures", "elbo,iwea"], "nearest iwae"),
        (["--evaluate.iwae_samples", "0"], "iwae_samples"),
        (["--likelihood", "Gaussian,Bernoulli"], "cannot be compared"),
        (["--data", "digitz"], "no data set"),
        (["--nonsense", "1"], "nonsense"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(plan, tmp_path, words, said):
    with pytest.raises(InputError, match=said) as error:
        plan(*words)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_options_is_not_taken_for_the_same_run(plan, tmp_path):
    [trial] = plan("--seeds", "1").trials
    text = settings_from(trial.text, likelihood="Gaussian").text
    RunFolder.create(trial.path, text)
    assert plan("--seeds", "1").trials == [trial]
    with pytest.raises(InputError, match=r"other options .*latent_dim is 10, not 4.*choose another folder"):
        plan("--seeds", "1", "--latent_dim", "4")
