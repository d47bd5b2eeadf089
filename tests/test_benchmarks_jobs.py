"""Which records of benchmarks hold, and what is said of them; nothing here is measured."""

import argparse
import json

import pytest

from benchmarks import end_to_end, guides, job_arms, programs
from benchmarks import end_to_end_tables as tables
from benchmarks.job_arms import COSINE, FAST
from benchmarks.program_tables import show
from benchmarks.results import command
from benchmarks.schedule_search import Arm, Found, Search
from benchmarks.schedule_search import section as search_section
from pyro_vae import presets
from pyro_vae.options import make_parser, parse_arguments


def record(arm, epochs, number=1, seconds=10.0, elbos=([5.0, -105.0],), **other):
    known = {"arm": arm, "epochs": epochs, "round": number, "seconds": seconds, "processor": 2 * seconds, "load": 1.0}
    known |= {"options": job_arms.options(arm), "one_thread": False, "machine": "M", "date": "2026-01-01"}
    known |= {"command": "python -m benchmarks.end_to_end --data-root DIR", "parts": {"start": 1.0}}
    known |= {"precision": "bf16"}
    return {**known, "test_elbo": -100.0, "elbos": list(elbos), **other}


@pytest.fixture
def run_jobs(monkeypatch, tmp_path):
    """The command's own measuring, with jobs that do nothing; it gives the jobs that it ran."""

    def measured(arms, epochs, rounds=1, one_thread=False, path=tmp_path / "records.jsonl"):
        ran = []

        def run(arm, epochs, data_root, one_thread):
            ran.append((epochs, arm))
            return {key: record(arm, epochs)[key] for key in ("arm", "epochs", "seconds", "processor", "load")}

        monkeypatch.setattr(end_to_end, "run", run)
        options = {"arms": arms, "epochs": epochs, "rounds": rounds, "one_thread": one_thread, "records": path}
        end_to_end.measure(argparse.Namespace(data_root=tmp_path, **options))
        return ran

    return measured


def test_what_has_its_record_is_not_run_again_and_other_options_or_threads_are(run_jobs, monkeypatch, tmp_path):
    job = [(8, FAST), (8, FAST)]  # round 0, and round 1
    assert run_jobs([FAST], [8]) == job
    assert run_jobs([FAST], [8]) == []
    assert run_jobs([FAST], [8], one_thread=True) == job
    assert run_jobs([FAST], [8], rounds=2) == job[:1]
    monkeypatch.setitem(presets.PRESETS, "fast", {**presets.PRESETS["fast"], "lr": 1.0})
    path = tmp_path / "records.jsonl"
    assert end_to_end.read(path) == end_to_end.read(path, one_thread=True) == []
    assert run_jobs([FAST], [8]) == job


def test_a_record_without_options_and_one_of_other_options_are_left_alone(tmp_path):
    path = tmp_path / "records.jsonl"
    good, other = record("Pyro", 8), record("Pyro", 8, options=["benchmarks.job_torch", "Pyro", "batch=50"])
    old = {key: value for key, value in good.items() if key != "options"}
    gone = {**good, "arm": "an arm of the past"}
    path.write_text("".join(json.dumps(one) + "\n" for one in (old, other, gone, good)))
    assert end_to_end.read(path) == [good]
    assert end_to_end.read(path, one_thread=True) == []


def test_the_options_of_a_record_are_those_that_the_command_takes():
    """The preset's values as the parser has them; without a preset those of the peers."""
    for arm, (module, *words) in job_arms.ARMS.items():
        if module == job_arms.OURS:
            parsed = parse_arguments(make_parser(), job_arms.job_ours.words(words))
            fast = "fast" in arm
            expected = presets.PRESETS["fast"] if fast else {"batch_size": 100, "lr": 2e-3 if arm == COSINE else 1e-3}
            assert {key: parsed[key] for key in expected} == expected
            assert all(f"{key}={value}" in job_arms.options(arm) for key, value in expected.items()) or not fast
    assert len({tuple(job_arms.options(arm)) for arm in job_arms.ARMS}) == len(job_arms.ARMS)


def test_caches_are_filled_for_the_two_shortest_lengths_by_those_that_have_one(run_jobs):
    first = [(n, arm) for n, arm in run_jobs(["ours", "NumPyro", "Pyro"], [1, 8, 30])][:4]
    assert first == [(1, "ours"), (8, "ours"), (1, "NumPyro"), (8, "NumPyro")]
    assert run_jobs(["ours"], [30], rounds=2) == [(30, "ours")]  # round 2 alone: the job of 8 epochs compiled all


def test_a_target_is_decided_by_the_worst_of_enough_rounds():
    def told(seconds):
        records = [record("ours", 8, n, s) for n, s in enumerate(seconds, 1)]
        records += [record("NumPyro", 8, n, 100.0) for n in range(1, 1 + len(seconds))]
        return tables.targets_table(records).splitlines()[-1]

    assert told([80.0, 85.0, 89.0]).endswith("| 3 | met |")
    assert told([80.0, 85.0, 95.0]).endswith("| 3 | not met |")
    assert told([80.0]).endswith("| 1 | met in 1: too few to decide |")


def jobs_to_a_goal(fast, cosine, epochs=30):
    """Jobs that reach -100 after so many seconds, round after round."""
    sides = ((FAST, fast), (COSINE, cosine))
    return [
        record(arm, epochs, n, elbos=[(s / 2, -110.0), (s, -99.0)])
        for arm, each in sides
        for n, s in enumerate(each, 1)
    ]


def test_the_preset_is_judged_by_the_worst_of_enough_rounds_and_by_lengths_that_both_have():
    met = tables.goals_in_words(jobs_to_a_goal([40.0, 45.0, 49.0], [100.0] * 3))
    assert "30 epochs takes 45.0 (40.0 to 49.0) s" in met
    assert met.endswith("0.45 (0.40 to 0.49) times as long (at most 0.50 was aimed at, in every round: met).")
    assert "in every round: not met)" in tables.goals_in_words(jobs_to_a_goal([40.0, 45.0, 51.0], [100.0] * 3))
    few = jobs_to_a_goal([40.0], [100.0])
    assert "in every round: met in 1: too few to decide)" in tables.goals_in_words(few)
    shorter = [record(FAST, 8, elbos=[(5.0, -99.0)])]
    assert tables.goals_in_words(few + shorter) == tables.goals_in_words(few)
    assert tables.goals_in_words(few[:1]) == ""


def test_the_words_are_those_of_the_jobs_that_were_run():
    few = tables.section([record("ours", 8, 0, 22.0), record("ours", 8), record("Pyro", 8)])
    assert "a difference of two ELBOs is that of one seed" in few
    assert (
        "Compiled code of ours is in a cache on the disk; jobs before the first round, which fill it, took: ours" in few
    )
    assert "fast" not in few
    assert "pythae" not in few
    both = tables.section([record("NumPyro", 8), record("pythae", 8), record(FAST, 8, command="python -m another")])
    assert "(*fast*: batch_size 200, lr 0.003, ema_decay 0.999, precision auto, which took bf16)" in both
    assert "pythae's trainer writes its model" in both
    assert "`python -m benchmarks.end_to_end --data-root DIR`, then `python -m another` on M; 2026-01-01." in both
    assert "README" not in few + both


def search(goal, *runs):
    """The section of a search whose runs are (batch, validation ELBOs, seconds of an epoch)."""
    found = [Found(Arm(batch, 1e-3, f"run {i}"), len(elbos), elbos, s) for i, (batch, elbos, s) in enumerate(runs)]
    return search_section(Search("", "A network", [], [], goal), found)


def test_equal_steps_have_equal_costs_and_no_run_is_the_soonest_where_none_arrives():
    """The run of 3 epochs is sooner than that of 4, whichever one the machine was slow for."""
    text = search(-98.0, (100, [-99.0, -98.5, -97.5, -97.0], 9.0), (100, [-99.0, -98.6, -98.1, -97.0], 1.0))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "run" in line[:40]]
    assert [row[3:] for row in rows if row[0].startswith("100")] == [["3", "15", "5.0"], ["4", "20", "5.0"]]
    assert text.endswith("The soonest is 100, 0.001, run 0, 4 epochs.")
    near = (200, [-99.0, -97.9, -97.0], 7.8), (300, [-99.0, -97.9, -96.5], 8.0), (400, [-97.9, -97.9, -96.0], 20.0)
    assert search(-98.0, (100, [-99.0, -97.9, -97.5], 7.7), *near).endswith(
        "The soonest is 100, 0.001, run 0, 3 epochs. Of those within 5% of its seconds, 300, 0.001, run 2, 3 epochs"
        " ends highest."
    )
    text = search(-98.0, (100, [-99.0], 9.0), (200, [-98.5], 1.0))
    assert text.endswith("No run reaches the goal.")
    assert "soonest" not in text
    assert search(None, (100, [-99.0], 9.0), (200, [-98.5], 1.0)).endswith(
        "The highest is 200, 0.001, run 1, 1 epochs."
    )


def test_three_seeds_show_only_what_students_t_shows(monkeypatch, tmp_path):
    monkeypatch.setattr(guides, "RESULTS", tmp_path / "RESULTS.md")
    rows = "".join(f"| {seed} | {value} | 0 |\n" for seed, value in enumerate([-99.9, -99.3, -99.8]))
    guides.RESULTS.write_text(f"<!-- precision -->\n{rows}<!-- end of precision -->\n")
    few = {"MeanField": -99.9, "IAF": -97.5}
    # t with 2 degrees of freedom is 4.303, the standard deviation 0.321
    assert "from 2.0 nats on (4.3 x 0.32 x sqrt(2)" in guides.spread_of_seeds(few)
    assert "for 1 rows): IAF." in guides.spread_of_seeds(few)
    many = few | {f"guide {i}": -99.9 for i in range(10)}
    assert "from 6.7 nats on" in guides.spread_of_seeds(many)
    assert "for 11 rows): no row has it." in guides.spread_of_seeds(many)


def test_a_programs_record_holds_for_its_engine_steps_and_rounds(tmp_path):
    asked = argparse.Namespace(engine="compiled", steps=20, rounds=15)
    good = {"name": "p", "engine": "compiled", "steps": 20, "rounds": 15}
    old = {"name": "p", "engine": "compiled"}
    others = [{**good, key: value} for key, value in (("engine", "captured"), ("steps", 5), ("rounds", 7))]
    path = tmp_path / "records.jsonl"
    assert programs.read(path, asked) == []
    path.write_text("".join(json.dumps(one) + "\n" for one in (old, *others, good)))
    assert programs.read(path, asked) == [good]
    text = show([{**good, "where": "M", "date": "2026-01-01", "refusal": "a loop"}], "the command")
    assert "`the command`, M, 2026-01-01; 1 of the suite's" in text
    assert "engine compiled" in text
    assert "first 20 steps" in text
    assert "over 15 rounds" in text


def test_a_command_has_all_options_that_are_not_the_defaults():
    parser = argparse.ArgumentParser()
    parser.add_argument("which")
    parser.add_argument("--data-root")
    parser.add_argument("--out", default="runs")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--guides", nargs="+", default=["MeanField"])
    parser.add_argument("--all", action="store_true")
    words = ["iwae", "--out", "a/folder", "--data-root", "a/folder", "--guides", "IAF", "my guide", "--all"]
    said = command("nested", parser, parser.parse_args(words), "which")
    assert said == "python -m benchmarks.nested iwae --data-root DIR --guides IAF 'my guide' --all"
    assert command("nested", parser, parser.parse_args(["iwae", "--epochs", "8"]), "which").endswith("nested iwae")
