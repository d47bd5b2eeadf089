"""A run's files belong together: what was changed, or is of another run, is found on load and on resume, and named."""

import shutil
from pathlib import Path

import pytest
import torch
from belongs_cases import FORMAT_0, line_of, measure, resume

import pyro_vae
from pyro_vae import checkpoint, svi, traces
from pyro_vae.errors import InputError
from pyro_vae.origin import check_options, options_of
from pyro_vae.trace import TraceRow, parse_trace, trace_digest, trace_text
from pyro_vae.training.held_out import HeldOut


def test_every_flipped_bit_of_a_checkpoint_is_found():
    state = {"epoch": 3, "weights": torch.linspace(-1, 1, 5), "name": "ä", "n": None, "x": [1.5, torch.tensor([True])]}
    content = checkpoint.pack(state, "last")
    assert checkpoint.unpack(content, "last")[0]["name"] == "ä"
    found = 0
    for i in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[i // 8] ^= 1 << i % 8
        with pytest.raises(InputError, match=r"damaged|of format \d"):
            checkpoint.unpack(bytes(flipped), "last")
        found += 1
    assert found == 8 * len(content)


def test_a_flipped_bit_in_the_weights_is_named_on_load_and_on_resume(train):
    folder = train("a")
    for which, commands in {"best": (pyro_vae.load, measure, resume), "last": (resume,)}.items():
        path = folder.checkpoint(which)
        good = path.read_bytes()
        flipped = bytearray(good)
        flipped[-7] ^= 1
        path.write_bytes(flipped)
        for command in commands:
            assert f"checkpoint.{which}.safetensors is damaged" in line_of(command, folder.path)
        path.write_bytes(good)
    resume(folder.path)


def test_checkpoints_under_the_names_of_others(train):
    folder = train("a")
    measure(folder.path)
    for source in ("best", "evaluation"):
        last = folder.checkpoint("last").read_bytes()
        shutil.copy(folder.checkpoint(source), folder.checkpoint("last"))
        assert f"is the checkpoint called {source} under" in line_of(resume, folder.path)
        folder.checkpoint("last").write_bytes(last)


OTHERS = {
    "seed": ["--seed", "1"],
    "optimizer": ["--optimizer", "SGD"],
    "guide": ["--guide", "FullRank"],
    "lr": ["--lr", "0.002"],
    "weight_decay": ["--weight-decay", "0.1"],
    "beta.beta": ["--beta.beta", "0.5"],
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_other_options_is_found(name, train):
    folder, other = train("a"), train("b", *OTHERS[name])
    for which, commands in {"best": (pyro_vae.load, measure, resume), "last": (resume,)}.items():
        good = folder.checkpoint(which).read_bytes()
        shutil.copy(other.checkpoint(which), folder.checkpoint(which))
        for command in commands:
            assert f"do not fit its config.yaml: {name} is " in line_of(command, folder.path)
        folder.checkpoint(which).write_bytes(good)


def test_an_edited_or_deleted_option_in_config_yaml_is_found_and_named(train):
    folder = train("a", "--seed", "1")
    text = folder.config_text()
    for edited in (text.replace("seed: 1\n", "seed: 2\n"), text.replace("seed: 1\n", "")):
        assert edited != text
        (folder.path / "config.yaml").write_text(edited)
        for command in (pyro_vae.load, measure, resume):
            said = line_of(command, folder.path)
            assert f"seed is {'2' if '2' in edited.partition('seed: ')[2][:1] else '0'} there and was 1" in said
        (folder.path / "config.yaml").write_text(text)
    # these do not matter for the weights
    (folder.path / "config.yaml").write_text(text.replace("device: auto", "device: cpu").replace("eager", "auto"))
    pyro_vae.load(folder.path)


def test_epochs_belong_to_a_schedule_over_them(train):
    folder = train("a", "--lr-schedule", "cosine")
    (folder.path / "config.yaml").write_text(folder.config_text().replace("epochs: 3", "epochs: 5"))
    assert "epochs is 5 there and was 3" in line_of(pyro_vae.load, folder.path)


def test_options_that_another_version_has_do_not_matter(tmp_path):
    text = (FORMAT_0 / "config.yaml").read_text()
    saved = options_of(text)
    saved["encoder"]["init_args"]["gone"] = 3
    saved["gone"] = 3
    del saved["decoder"]["init_args"]["activation"], saved["weight_decay"]
    check_options(saved, text, tmp_path)
    saved["encoder"]["init_args"]["activation"] = "tanh"
    with pytest.raises(InputError, match=r"encoder\.activation is elu there and was tanh"):
        check_options(saved, text, tmp_path)


def test_the_trace_of_another_run_is_found(train):
    folder, other = train("a"), train("b")  # of the same options: the trace has another time
    good = (folder.path / "trace.csv").read_bytes()
    shutil.copy(other.path / "trace.csv", folder.path / "trace.csv")
    for command in (pyro_vae.load, resume, measure):
        assert "are not of one run" in line_of(command, folder.path)
    (folder.path / "trace.csv").write_bytes(good)
    pyro_vae.load(folder.path)
    # and another run's best weights beside this trace
    shutil.copy(other.checkpoint("best"), folder.checkpoint("best"))
    for command in (pyro_vae.load, resume):
        assert "are not of one run" in line_of(command, folder.path)


def test_the_rows_after_the_best_epoch_are_of_the_same_run_too(train):
    """The best weights of a first epoch know no row yet, but the last ones do."""
    folder, other = train("a", "--epochs", "1"), train("b", "--epochs", "1")
    shutil.copy(other.path / "trace.csv", folder.path / "trace.csv")
    for command in (pyro_vae.load, measure):
        assert "checkpoint.last.safetensors and trace.csv are not of one run" in line_of(command, folder.path)
    for damaged in (b"", b"\xff" * 8, b"x" * 900):  # resuming says so; the best weights are as they were
        folder.checkpoint("last").write_bytes(damaged)
        pyro_vae.load(folder.path)
        assert "is damaged" in line_of(resume, folder.path)


def test_weights_are_given_away_without_their_trace(train):
    folder = train("a")
    (folder.path / "trace.csv").unlink()
    folder.checkpoint("last").unlink()
    pyro_vae.load(folder.path)


def spoilt(lines):
    """A trace's lines, spoilt in every way, and what is said of it."""
    yield [*lines[:4], *lines[7:]], "epoch 2 is missing"
    yield [*lines[:5], *lines[6:]], "epoch 2 has the rows train, test"
    yield [*lines[:5], *lines[4:]], "two rows of one split"
    yield [*lines[:7], *lines[1:]], "epoch 1 comes again"
    yield [*lines[:7], *lines[4:]], "two rows of one split"
    yield [lines[0], lines[1].replace("train", "trial"), *lines[2:]], "split 'trial'"
    yield [*lines[:7], *(line.replace(line.split(",")[0], "1", 1) for line in lines[7:])], "steps of epoch 3"
    yield [*lines[:2], "x" * 200_000, *lines[2:]], "is not a trace"


def test_a_trace_with_rows_missing_doubled_or_strange_is_found_wherever_it_is_read(train):
    folder = train("a")
    path = folder.path / "trace.csv"
    lines = path.read_text().splitlines()
    for bad, said in spoilt(lines):
        path.write_text("\n".join(bad) + "\n")
        for command in (lambda p: traces.main([str(p)]), pyro_vae.load, resume):
            assert said in line_of(command, folder.path)


def test_the_digest_of_a_trace_goes_on_from_that_of_its_beginning():
    rows = [TraceRow(e, e, s, 0.1 * e, 0, 0, 1, None, 0.1, e, e) for e in (1, 2, 3) for s in ("train", "test")]
    assert trace_digest(rows[4:], trace_digest(rows[:4])) == trace_digest(rows)
    assert trace_digest(parse_trace(trace_text(rows), Path("t"))) == trace_digest(rows)
    assert trace_digest(rows[:4]) != trace_digest(rows)


def test_another_number_of_threads_is_remarked_upon(train, capsys):
    folder = train("a")
    assert folder.restore("last")["state"]["threads"] == torch.get_num_threads() == 1
    resume(folder.path)
    assert "note:" not in capsys.readouterr().out
    torch.set_num_threads(2)
    try:
        svi.main(["--resume", str(folder.path), "--epochs", "5"])
    finally:
        torch.set_num_threads(1)
    assert "began with 1 thread(s) of torch and goes on with 2" in capsys.readouterr().out
    assert folder.restore("last")["state"]["threads"] == 1


def test_a_run_that_lost_its_last_checkpoint_does_not_begin_again_over_what_is_left(train):
    folder = train("a")
    last, best = (folder.checkpoint(which).read_bytes() for which in ("last", "best"))
    folder.checkpoint("last").unlink()
    said = "epochs behind it, and checkpoint.last.safetensors is gone: put it back, or train a new run"
    assert said in line_of(resume, folder.path)
    folder.checkpoint("best").unlink()  # the trace alone
    assert f"has 3 {said}" in line_of(resume, folder.path)
    folder.checkpoint("best").write_bytes(best)
    (folder.path / "trace.csv").unlink()  # the best weights alone, of a later epoch than the first
    assert folder.restore("best")["state"]["epoch"] > 1
    assert said in line_of(resume, folder.path)
    folder.checkpoint("last").write_bytes(last)


def test_a_run_that_was_killed_in_its_first_epoch_begins_again(train):
    folder, whole = train("a", "--epochs", "1"), train("b", "--epochs", "1")
    folder.checkpoint("last").unlink()  # as between the trace's writing and the last checkpoint's
    resume(folder.path)
    resume(whole.path)
    assert [row[:6] for row in folder.read_trace()] == [row[:6] for row in whole.read_trace()]


@pytest.mark.parametrize(
    ("options", "edit", "named"),
    [
        (["--encoder.hidden_dims", "[8]"], ("hidden_dims:\n    - 8\n", "", 1), "encoder.hidden_dims is None"),
        (["--objective.free_bits", "0.5"], ("    free_bits: 0.5\n", "", 1), "objective.free_bits is 0.0"),
        (
            ["--guide", "SemiAmortized", "--guide.family", "IAF", "--guide.family_options", "{context_dim: 3}"],
            ("context_dim: 3", "{}", 1),
            "guide.family_options.context_dim is None",
        ),
    ],
)
def test_an_option_of_a_class_that_one_side_alone_has_is_its_default(train, options, edit, named):
    folder = train("a", *options)
    text = folder.config_text()
    edited = text.replace(*edit)
    assert edited != text
    (folder.path / "config.yaml").write_text(edited)
    assert named in line_of(pyro_vae.load, folder.path)


def test_the_best_epoch_is_chosen_by_enough_draws_of_z(train, tmp_path, monkeypatch):
    """2,500 over all validation images, however few these are; the test rows take what --eval-samples says."""
    taken = []
    whole = HeldOut.terms

    def spy(self, images, num_samples):
        taken.append((len(images), num_samples))
        return whole(self, images, num_samples)

    monkeypatch.setattr(HeldOut, "terms", spy)
    train("a", "--validation", "20", "--epochs", "1")
    assert taken[:2] == [(20, 125), (250, 1)]
    taken.clear()
    train("b", "--validation", "20", "--epochs", "1", "--eval-samples", "200")
    assert taken[:2] == [(20, 200), (250, 200)]
