"""Two processes that fit together: each owns its rows, both end with the same surrogate and the whole perturbation."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Command, refused
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file

from unlearnable.packs import digits
from unlearnable.perturbation import save
from unlearnable.protections import protection
from unlearnable.run import Run

PROGRAM = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from unlearnable.packs import digits
from unlearnable.perturbation import save
from unlearnable.protections import protection
from unlearnable.run import Run, ranks
jobs, out = json.loads(sys.argv[1]), Path(sys.argv[2])
with ranks.joined():
    train = digits()[0].subset(torch.arange(97))
    for job, (name, values) in jobs.items():
        said = []
        run = Run(0, "cpu", "fp32", out / job / "checkpoints", lambda event: said.append(event.stage))
        fitted = protection(name, **values).fit(train, run)
        save(out / job / f"rank{ranks.rank()}", fitted, {"said": len(said), "rows": len(run.shard(97))})
"""
GENERATOR = {
    "grid": 16, "groups": [2, 4], "steps": 2, "batch": 98, "width": 8, "lr": 2e-3, "surrogates": ["lenet", "cnn"],
}  # fmt: skip
BLIND = {"blind": True, "told": True, "match": 0.0, "undistil": 0.0, "shortcut": 1.0}
UGE = {
    "epochs": 2, "checkpoints": 2, "width": 8, "blocks": 1, "steps": 2, "batch": 98, "lr": 2e-3, "feature": 0.0,
    "hacker": "cnn",
}  # fmt: skip
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "em": ("em", {"model": "lenet", "rounds": 3, "train_steps": 3, "steps": 2, "batch": 40, "stop_error": -1.0}),
    "sem": ("sem", {"model": "lenet", "iterations": 4, "batch": 40, "steps": 2, "attack_steps": 1, "views": 1}),
    "tap": ("tap", {"model": "lenet", "epochs": 2, "steps": 2, "restarts": 1, "batch": 20}),
    "cp": ("cp", {"scope": "class", "model": "lenet", "rounds": 2, "batch": 48, "steps": 1, "learner": "moco"}),
    "clusters": ("clusters", {"clusters": 3, "epochs": 2, "batch": 40, "width": 8, "blocks": 1}),
    "shortcut": ("one_for_all", GENERATOR | {"objective": "shortcut"}),
    "discriminant": ("one_for_all", GENERATOR | {"objective": "discriminant"}),
    "told": ("uge", UGE | {"model": "lenet", "undistil": 0.5}),
    "blind": ("uge", UGE | {"model": "cnn"} | BLIND),
}
"""What two processes fit, one after the other: a group takes longer to start than to fit."""
Weights = dict[str, torch.Tensor]


def torchrun(words: list[str], made: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Two processes, on a port of this run's own; once more where gloo's threads abort a process (docs/LOG.md), without
    what the first try made.
    """
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    command = [sys.executable, *launcher, "--rdzv-endpoint=localhost:0", *words]
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if "terminate called without an active exception" not in done.stderr:
            break
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
    return done


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory, eyes: str) -> Path:
    """The folder of what two processes have fitted: once, whichever of the tests' own processes comes first."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "together"
    with FileLock(out.with_name(f"{out.name}.lock"), timeout=600):
        if not (out / "jobs.json").exists():
            out.mkdir(exist_ok=True)
            jobs = {job: job_of(job, eyes) for job in JOBS}
            (out / "program.py").write_text(PROGRAM)
            done = torchrun([str(out / "program.py"), json.dumps(jobs), str(out)])
            assert done.returncode == 0, done.stderr
            (out / "jobs.json").write_text(json.dumps(jobs))
    return out


def job_of(job: str, eyes: str) -> tuple[str, dict[str, Any]]:
    """Its method and fields; what looks through an encoder looks through a small one."""
    name, values = JOBS[job]
    return name, values | ({"encoder": eyes} if name in ("one_for_all", "clusters") else {})


def both(together: Path, job: str) -> tuple[Weights, Weights]:
    """What each of the two has at the end."""
    first, second = (load_file(together / job / f"rank{rank}" / "perturbation.safetensors") for rank in (0, 1))
    return first, second


def alone(job: str, eyes: str, folder: Path) -> Weights:
    """The same fit in one process."""
    name, values = job_of(job, eyes)
    save(folder, protection(name, **values).fit(digits()[0].subset(torch.arange(97)), Run(0, "cpu", "fp32")), {})
    return load_file(folder / "perturbation.safetensors")


def likeness(job: str, found: Weights, eyes: str) -> float:
    """The cosine between the ways that a generator's weights went in one process and in two."""
    name, values = job_of(job, eyes)
    train, run = digits()[0].subset(torch.arange(97)), Run(0, "cpu", "fp32")
    begun, alone = (protection(name, **values | {"lr": lr}).fit(train, run).weights for lr in (1e-9, values["lr"]))
    learned = [weight for weight in begun if weight.endswith((".weight", ".bias"))]
    one = torch.cat([(alone[weight] - begun[weight]).flatten() for weight in learned]).float()
    two = torch.cat([(found[f"weights/{weight}"] - begun[weight]).flatten() for weight in learned]).float()
    return float(one @ two / (one.norm() * two.norm()))


def about(together: Path, job: str, rank: int) -> dict[str, int]:
    found: dict[str, int] = json.loads((together / job / f"rank{rank}" / "config.json").read_text())
    return found


def test_ranks_train_as_many_batches_each_and_agree_on_the_noise_of_classes(together: Path) -> None:
    """97 images: one rank has a part of a batch more than the other."""
    first, second = both(together, "cp")
    assert torch.equal(first["delta"], second["delta"])
    assert first["delta"].any()


@pytest.mark.parametrize("job", ["em", "sem"])
def test_two_ranks_share_the_work_and_the_result(job: str, together: Path) -> None:
    first, second = both(together, job)
    assert torch.equal(first["delta"], second["delta"])
    assert first["delta"].shape == (97, 3, 16, 16)
    assert first["delta"].flatten(1).any(1).all(), "rows that no rank filled in"
    assert [about(together, job, rank)["rows"] for rank in (0, 1)] == [48, 49]
    assert about(together, job, 0)["said"] > 0
    assert about(together, job, 1)["said"] == 0, "only the first rank speaks"


def test_a_surrogate_that_needs_no_gradients_gives_what_one_process_gives(
    together: Path, eyes: str, tmp_path: Path
) -> None:
    """tap: rows do not depend on one another, so owning half of them changes nothing but the cut of batches."""
    one, two = alone("tap", eyes, tmp_path), both(together, "tap")[0]
    assert torch.equal(one["delta"][:40], two["delta"][:40])  # whole batches of the first rank


def test_ranks_that_share_clusters_find_what_one_process_finds(together: Path, eyes: str, tmp_path: Path) -> None:
    """One of the two has a cluster more."""
    one = alone("clusters", eyes, tmp_path)
    for found in both(together, "clusters"):
        assert torch.allclose(found["centres"], one["centres"], atol=1e-6)  # features came in other batches
        assert torch.allclose(found["delta"], one["delta"], atol=1e-4)


@pytest.mark.parametrize("job", ["shortcut", "discriminant", "told", "blind"])
def test_both_ranks_end_with_one_generator(job: str, together: Path) -> None:
    first, second = both(together, job)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("job", "alike"), [("discriminant", 0.3), ("told", 0.1)])
def test_a_generator_goes_where_one_process_takes_it(job: str, alike: float, together: Path, eyes: str) -> None:
    """As far as the first steps of Adam tell (0 is chance). Not so for a shortcut: its crops are drawn otherwise, and
    the batch norms of its networks see half a batch each.
    """
    assert likeness(job, both(together, job)[0], eyes) > alike


def test_the_command_line_fits_on_several_ranks(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for place in range(20):
        folder = tmp_path / "pictures" / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{place}.png")
    flags = ["--model", "lenet", "--rounds", "2", "--train_steps", "2", "--steps", "1", "--batch", "8", "--json"]
    fitted = tmp_path / "fitted"
    done = torchrun(["-m", "unlearnable", "fit", "em", str(tmp_path / "pictures"), str(fitted), *flags], fitted)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["out"] == str(fitted), "one answer, from the first rank"
    assert sorted(path.name for path in fitted.iterdir()) == ["README.md", "config.json", "perturbation.safetensors"]
    assert json.loads((fitted / "config.json").read_text())["ended"]["em"]


def test_the_command_line_refuses_the_rest(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun says it
    assert "list runs as one process; torchrun is for fit" in refused(command("list"))
