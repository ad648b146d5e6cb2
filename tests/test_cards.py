"""Fitted protections kept and passed on, and the cards: numbers from records, never in the place of a user's file."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from commands import Command
from jobs import flat, folder, job, packed, put, tree

from unlearnable import FittedProtection, recorded
from unlearnable.data import ImageSet
from unlearnable.job import card, fit, verify
from unlearnable.perturbation import apply
from unlearnable.pixels import LINF8
from unlearnable.protections import protection
from unlearnable.run import Run

EVALUATION = {
    "rows": [{"adversary": "standard", "model": "cnn", "seed": s, "clean_acc": 0.8, "protected_acc": 0.2 + s / 10}
             for s in range(2)],
    "flags": ["few-seeds"],
}  # fmt: skip


@pytest.fixture
def fitted(tmp_path: Path) -> Path:
    fit(protection("lsp"), folder(tmp_path / "src"), tmp_path / "lsp", Run(device="cpu", precision="fp32"))
    return tmp_path / "lsp"


def test_a_fitted_protection_is_the_same_after_it_was_saved_and_loaded(tmp_path: Path, fitted: Path) -> None:
    first = FittedProtection.from_pretrained(fitted)
    first.save_pretrained(tmp_path / "kept", evaluation=EVALUATION)
    again = FittedProtection.from_pretrained(str(tmp_path / "kept"))
    data = ImageSet(torch.full((8, 3, 32, 32), 99, dtype=torch.uint8), torch.arange(8) // 4, ("a", "b"))
    run = Run(device="cpu", precision="fp32")
    assert torch.equal(again.protect(data, run).images, apply(first.perturbation, data, LINF8, run).images)
    assert dict(again.config) == dict(first.config)
    for name in (fitted, tmp_path / "kept"):
        job(tmp_path / "src", tmp_path / f"by-{name.name}", method=str(name))
    assert tree(tmp_path / "by-kept") == tree(tmp_path / "by-lsp")
    card = (tmp_path / "kept/README.md").read_text()
    assert "| standard | cnn | 2 | 0.800 | 0.250 |" in card
    assert "few-seeds" in card
    assert "was not measured" in (fitted / "README.md").read_text()
    assert "| budget | linf, eps 8/255 |" in card
    assert f"| size | {sum(getattr(first.perturbation, n).numel() for n in ('centres', 'spread')):,} values |" in card


def test_a_fresh_program_reads_what_was_fitted(fitted: Path) -> None:
    """Nothing else was imported that knows the kinds of perturbations."""
    text = f"from unlearnable import FittedProtection as F; print(F.from_pretrained({str(fitted)!r}).perturbation.size)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("32\n", "")
    assert "seed" not in (fitted / "README.md").read_text(), "who knows it makes the same noise"


def test_the_hub_is_asked_only_by_its_name(tmp_path: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    def download(name: str, **how: object) -> str:
        asked.append((name, how["revision"]))
        return str(fitted)

    hub = SimpleNamespace(snapshot_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(ValueError, match="holds no fitted protection"):
        FittedProtection.from_pretrained("me/mine")
    assert not asked
    assert FittedProtection.from_pretrained("hf://me/mine", revision="abc").config["seed"] == 0
    assert asked == [("me/mine", "abc")]
    with pytest.raises(ValueError, match="is hf://owner/name, got 'me/mine'"):
        FittedProtection.from_pretrained(fitted).save_pretrained(tmp_path / "kept", push_to="me/mine")
    assert not (tmp_path / "kept").exists()
    hub.snapshot_download = lambda *_, **how: how["nothing"]
    with pytest.raises(ValueError, match="cannot be had from the hub: KeyError"):
        FittedProtection.from_pretrained("hf://me/mine")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'unlearnable\[hub\]'"):
        FittedProtection.from_pretrained("hf://me/mine")


def test_a_data_card_says_what_the_manifest_says(tmp_path: Path, command: Command) -> None:
    source = flat(tmp_path / "src", 4)
    put(source / "bad.png", b"\x89PNG\r\n\x1a\n")
    done = command("protect", source, tmp_path / "dst", "--method", "lsp", "--card", "--json")
    card = (tmp_path / "dst/README.md").read_text()
    assert (done.code, done.json["protected"]) == (1, 4)
    assert "4 pictures, changed" in card
    assert "| not among them | 1 that could not" in card
    assert "| method | `lsp` of" in card
    assert "| budget | linf, eps 8/255 |" in card
    assert "| largest change | 8 of 255 grey levels |" in card
    assert "dB on average" in card
    assert re.search(r"On record for `lsp` \(linf 8/255\).*learned 0\.\d\d of them, 0\.\d\d unchanged; who gets", card)
    assert str(tmp_path) not in card
    assert verify(source, tmp_path / "dst").bad == 0
    (source / "bad.png").unlink()
    flat(source, 5)
    job(source, tmp_path / "dst", overwrite=True)
    assert not (tmp_path / "dst/README.md").exists(), "a card of other numbers"
    archive = packed(source, tmp_path / "s.zip")
    job(archive, tmp_path / "d.zip", card=True)
    assert "5 pictures" in (tmp_path / "d.zip.README.md").read_text()
    job(archive, tmp_path / "d.zip", card=True, overwrite=True)


@pytest.mark.parametrize(("pictures", "said"), [
    (0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**9, "1B<n<10B"), (10**15, "100B<n<1T"),
])  # fmt: skip
def test_the_hub_of_data_sets_can_read_a_card(
    tmp_path: Path, pictures: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    changed = card.changed
    monkeypatch.setattr(card, "changed", lambda manifest: changed(manifest) | {"pictures": pictures})
    job(folder(tmp_path / "src"), tmp_path / "dst", card=True)
    read = hub.DatasetCard.load(tmp_path / "dst/README.md")
    assert read.data.to_dict() == {"tags": ["unlearnable-examples"], "size_categories": [said]}
    assert read.text.lstrip().startswith("# Data card")


@pytest.mark.parametrize(("strength", "reached", "said"), [
    (0.6, {"jpeg": 0.55}, "that is no protection."),
    (0.2, {}, "who gets most of that back was not measured."),
    (0.2, {"jpeg": 0.3}, "no adversary that was tried gets most of it back."),
    (0.2, dict.fromkeys("abcde", 0.6), "who gets most of that back: `a` 0.60, `b` 0.60, `c` 0.60 and 2 more."),
])  # fmt: skip
def test_a_card_claims_no_more_than_was_measured(
    strength: float, reached: dict[str, float], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = {"norm": "none", "eps": "none", "dataset": "d", "model": "m"}
    known = recorded.Recorded("x", setting, recorded.undoing(0.62, strength, reached), None)
    monkeypatch.setattr(recorded, "recorded", lambda *_: known)
    text = card._effect("x", "x")
    assert text.startswith("On record for `x`, other pictures (`d`) and a small network (`m`): it learned")
    assert text.endswith(f"0.62 unchanged; {said}")


def test_a_card_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    source = flat(tmp_path / "src", 2)
    put(tmp_path / "dst/README.md", b"mine")
    with pytest.raises(ValueError, match="where the card would go, and is none"):
        job(source, tmp_path / "dst", card=True, overwrite=True)
    job(source, tmp_path / "dst", overwrite=True)
    assert (tmp_path / "dst/README.md").read_bytes() == b"mine"
    put(source / "readme.md", b"of the source")
    with pytest.raises(ValueError, match=r"holds a README.md of its own"):
        job(source, tmp_path / "other", card=True)
    assert not (tmp_path / "other").exists()


def test_the_answer_of_evaluate_is_what_a_card_takes(fitted: Path, tmp_path: Path) -> None:
    answer = json.loads(json.dumps(EVALUATION))
    place = FittedProtection.from_pretrained(fitted).save_pretrained(tmp_path / "kept", evaluation=answer)
    assert place == tmp_path / "kept"
    assert sorted(path.name for path in place.iterdir()) == ["README.md", "config.json", "perturbation.safetensors"]
