"""Two processes that fit together: each owns its rows, both end with the same surrogate and the whole perturbation."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from unlearnable.packs import digits
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
name, values, out = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
with ranks.joined():
    train, _ = digits()
    train = train.subset(torch.arange(97))
    run = Run(0, device="cpu", precision="fp32", directory=out / "checkpoints")
    said = []
    run.listener = lambda event: said.append(event.stage)
    fitted = protection(name, **values).fit(train, run)
    save(out / f"rank{ranks.rank()}", fitted, {"said": len(said), "rows": len(run.shard(97))})
"""
METHODS = {
    "em": {"model": "lenet", "rounds": 3, "train_steps": 3, "steps": 2, "batch": 40, "stop_error": -1.0},
    "tap": {"model": "lenet", "epochs": 2, "steps": 2, "restarts": 1, "batch": 20},
    "clusters": {"clusters": 3, "epochs": 2, "batch": 40, "width": 8, "blocks": 1},
    "one_for_all": {
        "grid": 16,
        "groups": [2, 4],
        "steps": 2,
        "batch": 98,
        "width": 8,
        "lr": 2e-3,
        "surrogates": ["lenet", "cnn"],
    },
    "uge": {
        "model": "lenet",
        "epochs": 2,
        "checkpoints": 2,
        "width": 8,
        "blocks": 1,
        "steps": 2,
        "batch": 98,
        "lr": 2e-3,
        "feature": 0.0,
        "hacker": "cnn",
    },
    "sem": {"model": "lenet", "iterations": 4, "batch": 40, "steps": 2, "attack_steps": 1, "views": 1},
}


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


def fit(name: str, out: Path, processes: int, **values: object) -> list[dict[str, torch.Tensor]]:
    program = out / "program.py"
    out.mkdir(parents=True)
    program.write_text(PROGRAM)
    words = [str(program), name, json.dumps(METHODS[name] | values), str(out)]
    done = torchrun(words) if processes > 1 else subprocess.run([sys.executable, *words], timeout=120)
    assert done.returncode == 0, done.stderr
    return [load_file(out / f"rank{rank}" / "perturbation.safetensors") for rank in range(processes)]


def likeness(name: str, values: dict[str, object], together: dict[str, torch.Tensor]) -> float:
    """The cosine between the ways that a generator's weights went in one process and in two."""
    train, run = digits()[0].subset(torch.arange(97)), Run(0, "cpu", "fp32")
    begun, alone = (protection(name, **values | {"lr": lr}).fit(train, run).weights for lr in (1e-9, values["lr"]))
    learned = [weight for weight in begun if weight.endswith((".weight", ".bias"))]
    one = torch.cat([(alone[weight] - begun[weight]).flatten() for weight in learned]).float()
    two = torch.cat([(together[f"weights/{weight}"] - begun[weight]).flatten() for weight in learned]).float()
    return float(one @ two / (one.norm() * two.norm()))


def about(out: Path, rank: int) -> dict[str, int]:
    found: dict[str, int] = json.loads((out / f"rank{rank}" / "config.json").read_text())
    return found


@pytest.mark.parametrize("name", ["em", "sem"])
def test_two_ranks_share_the_work_and_the_result(name: str, tmp_path: Path) -> None:
    first, second = fit(name, tmp_path / "two", 2)
    assert torch.equal(first["delta"], second["delta"])
    assert first["delta"].shape == (97, 3, 16, 16)
    assert first["delta"].flatten(1).any(1).all(), "rows that no rank filled in"
    assert [about(tmp_path / "two", rank)["rows"] for rank in (0, 1)] == [48, 49]
    assert about(tmp_path / "two", 0)["said"] > 0
    assert about(tmp_path / "two", 1)["said"] == 0, "only the first rank speaks"


def test_a_surrogate_that_needs_no_gradients_gives_what_one_process_gives(tmp_path: Path) -> None:
    """tap: rows do not depend on one another, so owning half of them changes nothing but the cut of batches."""
    (alone,) = fit("tap", tmp_path / "one", 1)
    together, _ = fit("tap", tmp_path / "two", 2)
    assert torch.equal(alone["delta"][:40], together["delta"][:40])  # whole batches of the first rank


def test_ranks_that_share_clusters_find_what_one_process_finds(tmp_path: Path) -> None:
    """One of the two has a cluster more."""
    (alone,) = fit("clusters", tmp_path / "one", 1)
    for found in fit("clusters", tmp_path / "two", 2):
        assert torch.allclose(found["centres"], alone["centres"], atol=1e-6)  # features came in other batches
        assert torch.allclose(found["delta"], alone["delta"], atol=1e-4)


@pytest.mark.parametrize(("objective", "alike"), [("shortcut", -1.0), ("discriminant", 0.3)])
def test_a_generator_is_trained_together(objective: str, alike: float, eyes: str, tmp_path: Path) -> None:
    """Batch norms see half a batch each, and for a shortcut crops are drawn otherwise: only towards concepts do two
    processes go where one does, as far as the first steps of Adam tell (0 is chance).
    """
    values = METHODS["one_for_all"] | {"encoder": eyes, "objective": objective}
    first, second = fit("one_for_all", tmp_path / "two", 2, **values)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert likeness("one_for_all", values, first) > alike


@pytest.mark.parametrize(
    ("form", "alike"),
    [({"undistil": 0.5}, 0.1), ({"blind": True, "told": True, "match": 0.0, "undistil": 0.0, "shortcut": 1.0}, -1.0)],
)
def test_images_for_one_network_are_made_together(form: dict[str, object], alike: float, tmp_path: Path) -> None:
    """Both ranks end with one generator; where gradients match it goes about where that of one process goes: crops and
    batch norms differ.
    """
    values = METHODS["uge"] | form | {"model": "cnn" if "blind" in form else "lenet"}
    first, second = fit("uge", tmp_path / "two", 2, **values)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert likeness("uge", values, first) > alike


def test_the_command_line_fits_on_several_ranks_and_refuses_the_rest(tmp_path: Path) -> None:
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
    refused = torchrun(["-m", "unlearnable", "list"])
    assert refused.returncode != 0
    assert "list runs as one process; torchrun is for fit" in refused.stderr
