"""Protections fitted once and used as the method of a job: their classes, their budget and the pictures they serve."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from jobs import crop, flat, folder, job, manifest, noise, put, tree

from unlearnable.job import fit, fitting, verify
from unlearnable.perturbation import load
from unlearnable.pretrained import FittedProtection
from unlearnable.protections import protection
from unlearnable.run import Progress, Run
from unlearnable.training import Authorised, handed_out


def fitted(source: Path, out: Path, name: str = "lsp", **values: object) -> Path:
    fit(protection(name, **values), source, out, Run(device="cpu", precision="fp32"))
    return out


def test_a_fitted_folder_gives_what_its_name_gives(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    job(source, tmp_path / "by-name")
    out = fitted(source, tmp_path / "fitted")
    assert {path.name for path in out.iterdir()} == {"README.md", "config.json", "perturbation.safetensors"}
    summary = job(source, tmp_path / "by-folder", method=str(out))
    assert tree(tmp_path / "by-folder") == tree(tmp_path / "by-name")
    assert (summary.method, summary.eps) == (str(out), "8/255")


def test_what_was_fitted_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        out = fitted(folder(tmp_path / "src"), tmp_path / "out")
    finally:
        os.umask(before)
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in out.iterdir()} == {
        "README.md": "0o640", "config.json": "0o640", "perturbation.safetensors": "0o640"
    }  # fmt: skip


def test_config_says_what_was_fitted(tmp_path: Path) -> None:
    config = json.loads((fitted(folder(tmp_path / "src"), tmp_path / "out") / "config.json").read_text())
    assert config["protection"]["name"] == "lsp"
    assert config["protection"]["budget"] == {"norm": "linf", "eps": 8 / 255}
    assert config["classes"] == ["cat", "dog"]
    assert (config["labels"], config["seed"], config["unreadable"]) == ("folders", 0, [])


def test_a_smaller_eps_is_kept_and_a_larger_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    out = fitted(source, tmp_path / "fitted")
    assert job(source, tmp_path / "four", method=str(out), eps=4 / 255).max_abs_delta == 4
    with pytest.raises(ValueError, match="eps 16/255 is above 8/255"):
        job(source, tmp_path / "sixteen", method=str(out), eps=16 / 255)


def test_what_transfers_serves_other_pictures_of_the_same_classes(tmp_path: Path) -> None:
    out = fitted(folder(tmp_path / "src"), tmp_path / "fitted", "em", **fast(scope="class", steps=1))
    other = folder(tmp_path / "other", 4, lambda n: crop(n, 120, 90))
    assert job(other, tmp_path / "dst", method=str(out)).protected == 4
    put(other / "horse" / "1.png", noise(1))
    with pytest.raises(ValueError, match="class 'horse' is not among those"):
        job(other, tmp_path / "horse", method=str(out))
    assert not (tmp_path / "horse").exists()
    assert job(other, tmp_path / "any", method=str(out), labels="none").protected == 5


def test_what_was_clustered_is_clustered_again(tmp_path: Path) -> None:
    out = fitted(flat(tmp_path / "src", 14), tmp_path / "fitted")
    job(flat(tmp_path / "src", 14), tmp_path / "again", method=str(out), seed=7)
    job(flat(tmp_path / "src", 14), tmp_path / "by-name")
    assert manifest(tmp_path / "again", "label") == manifest(tmp_path / "by-name", "label")
    assert tree(tmp_path / "again") == tree(tmp_path / "by-name")


def test_sample_wise_noise_serves_only_the_pictures_it_was_fitted_to(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 6)
    out = fitted(source, tmp_path / "fitted", "em", **fast())
    assert job(source, tmp_path / "dst", method=str(out)).protected == 6
    assert verify(source, tmp_path / "dst").bad == 0
    with pytest.raises(ValueError, match="was fitted to other pictures"):
        job(folder(tmp_path / "other", 7), tmp_path / "no", method=str(out))
    assert not (tmp_path / "no").exists()


def fast(**values: object) -> dict[str, object]:
    return {"model": "cnn", "rounds": 2, "batch": 16, "train_steps": 2, "steps": 2} | values


def test_unreadable_pictures_do_not_stop_a_method_that_looks_at_them(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 8)
    whole = (source / "cat" / "003.png").read_bytes()
    put(source / "cat" / "003.png", whole[:60])
    (source / "cat" / "gone.png").symlink_to(tmp_path / "nowhere")
    for name, values in (("sample", fast()), ("class", fast(scope="class", steps=1))):
        out = fitted(source, tmp_path / name, "em", **values)
        summary = job(source, tmp_path / f"{name}-out", method=str(out))
        assert {failed for failed, _ in summary.failures} == {"cat/003.png", "cat/gone.png"}
        assert summary.protected == 7
    put(source / "cat" / "003.png", whole)
    sample = job(source, tmp_path / "sample-out", method=str(tmp_path / "sample"), resume=True)
    said = dict(sample.failures)["cat/003.png"]
    assert said.startswith("it could not be read when its noise was fitted: fit anew to include it")
    again = job(source, tmp_path / "class-out", method=str(tmp_path / "class"), resume=True)
    assert {name for name, _ in again.failures} == {"cat/gone.png"}


@pytest.mark.parametrize("values", [fast(), fast(scope="class", steps=1)], ids=["sample", "class"])
def test_fit_says_which_pictures_it_could_not_read(tmp_path: Path, values: dict[str, object]) -> None:
    source = folder(tmp_path / "src", 4)
    for picture in source.rglob("00[13].png"):
        put(picture, picture.read_bytes()[:60])
    run = Run(device="cpu", precision="fp32")
    missed = fit(protection("em", **values), source, tmp_path / "out", run)
    assert [name for name, _ in missed] == ["cat/001.png", "cat/003.png"]
    assert all(reason for _, reason in missed)
    for picture in source.rglob("*.png"):
        put(picture, b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(ValueError, match=r"holds no picture that can be read: nothing to fit on"):
        fit(protection("em", **values), source, tmp_path / "none", run)


def test_a_bounded_sample_is_enough_for_what_transfers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_SAMPLE", 5)
    seen = []
    real = fitting.views
    monkeypatch.setattr(fitting, "views", lambda s, p, *rest: (seen.append([i.name for i in p]), real(s, p, *rest))[1])
    source = folder(tmp_path / "src", 12)
    fitted(source, tmp_path / "lsp")
    assert seen == [], "lsp looks at no picture"
    fitted(source, tmp_path / "em", "em", **fast(scope="class", steps=1))
    assert seen == [["cat/001.png", "cat/005.png", "cat/009.png", "dog/002.png", "dog/006.png"]]


def test_size_and_working_size(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    fit(protection("lsp"), source, tmp_path / "out", Run(device="cpu"), size=48)
    assert load(tmp_path / "out")[0].size == 48
    job(source, tmp_path / "dst", method=str(tmp_path / "out"))
    assert verify(source, tmp_path / "dst").max_abs_delta == 8


def test_places_of_fit(tmp_path: Path) -> None:
    source = folder(tmp_path / "src")
    out = fitted(source, tmp_path / "out")
    with pytest.raises(ValueError, match="holds a fitted protection already"):
        fitted(source, out)
    with pytest.raises(ValueError, match="lies in SRC"):
        fitted(source, source / "out")
    with pytest.raises(ValueError, match="holds no fitted protection"):
        job(source, tmp_path / "dst", method=str(source))
    assert not (tmp_path / "dst").exists()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_weights_that_were_cut_short_are_refused(tmp_path: Path, share: float) -> None:
    out = fitted(folder(tmp_path / "src"), tmp_path / "out")
    weights = out / "perturbation.safetensors"
    weights.write_bytes(weights.read_bytes()[: int(share * weights.stat().st_size)])
    for read in (load, FittedProtection.from_pretrained):
        with pytest.raises(ValueError, match=f"{out} holds no fitted protection"):
            read(out)


@pytest.mark.parametrize("name", ["README.md", "dog.png", "perturbation.safetensors"])
def test_fit_takes_no_folder_that_holds_something_of_the_users(tmp_path: Path, name: str) -> None:
    mine = put(tmp_path / "mine" / name, b"mine")
    with pytest.raises(ValueError, match=rf"OUT .* holds {name}, .* name another folder"):
        fitted(folder(tmp_path / "src"), tmp_path / "mine")
    assert [path.name for path in mine.parent.iterdir()] == [name]
    assert mine.read_bytes() == b"mine"
    with pytest.raises(ValueError, match=r"OUT .* is a file: name a folder"):
        fitted(folder(tmp_path / "src"), mine)
    with pytest.raises(ValueError, match=r"OUT .* lies below a file"):
        fitted(folder(tmp_path / "src"), mine / "out")


def test_a_fit_goes_on_in_what_a_killed_one_left(tmp_path: Path) -> None:
    """Killed after the weights, before config.json: nothing there is the user's."""
    source, out = folder(tmp_path / "src"), tmp_path / "out"
    for name in (".checkpoints/lsp.tmp", "perturbation.safetensors", ".config.json.tmp"):
        put(out / name, b"half")
    fitted(source, out)
    assert load(out)[0].size == 32


def test_checkpoints_lie_in_out_until_it_is_done(tmp_path: Path) -> None:
    seen = []
    source = folder(tmp_path / "src", 6)
    run = Run(device="cpu", precision="fp32", save_every=0.0,
              listener=lambda e: seen.append((tmp_path / "out" / ".checkpoints").exists()))  # fmt: skip
    fit(protection("em", **fast()), source, tmp_path / "out", run)
    assert True in seen
    assert not (tmp_path / "out" / ".checkpoints").exists()
    delta = load(tmp_path / "out")[0].delta.numpy()
    assert delta.shape == (6, 3, 32, 32)
    assert np.abs(delta).max() > 0


def test_a_fit_that_is_interrupted_goes_on_to_the_same_noise(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", 6)
    method = protection("em", **fast(rounds=4, stop_error=-1.0))

    def interrupt(event: Progress) -> None:
        if event.stage == "em" and event.done == 3:
            raise KeyboardInterrupt

    stopped = Run(device="cpu", precision="fp32", save_every=0.0, listener=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(method, source, tmp_path / "out", stopped)
    rounds = []
    again = Run(device="cpu", precision="fp32", listener=lambda e: rounds.append(e.done) if e.stage == "em" else None)
    fit(method, source, tmp_path / "out", again)
    fit(method, source, tmp_path / "whole", Run(device="cpu", precision="fp32"))
    assert min(rounds) >= 2
    assert load(tmp_path / "out")[0].delta.equal(load(tmp_path / "whole")[0].delta)


HANDING: dict[str, object] = {"epochs": 1, "steps": 6, "batch": 4, "width": 8, "blocks": 1, "surrogates": ("lenet",)}


def test_networks_that_nobody_named_follow_from_no_seed_that_is_printed(tmp_path: Path) -> None:
    """Cards and reports say the seed of a run: who could draw the networks from it would be authorised."""
    source = folder(tmp_path / "src", 6)
    drawn = [
        Authorised.read(fitted(source, tmp_path / n, "uge:blind-no-undistill-quick", **HANDING) / "authorised-0")
        for n in "ab"
    ]
    assert drawn[0].seed != drawn[1].seed
    config = (tmp_path / "a" / "config.json").read_text()
    assert str(drawn[0].seed) not in config
    assert json.loads(config)["protection"]["bundles"] == []
    assert (tmp_path / "a" / "authorised-0").stat().st_mode & 0o077 == 0
    job(source, tmp_path / "dst", method=str(tmp_path / "a"))


def test_a_fit_goes_on_for_the_networks_it_was_begun_for(tmp_path: Path) -> None:
    source, bundle = folder(tmp_path / "src", 6), tmp_path / "bundle"

    def interrupt(event: Progress) -> None:
        if event.stage == "uge" and event.done == 3:
            raise KeyboardInterrupt

    stopped = Run(device="cpu", precision="fp32", save_every=0.0, listener=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(protection("uge:blind-no-undistill-quick", **HANDING), source, tmp_path / "out", stopped)
    (begun,) = (tmp_path / "out").rglob("bundle.json")
    seed = json.loads(begun.read_text())["seed"]
    assert (
        Authorised.read(
            fitted(source, tmp_path / "out", "uge:blind-no-undistill-quick", **HANDING) / "authorised-0"
        ).seed
        == seed
    )

    given = HANDING | {"bundles": (str(bundle),)}
    for turn in (1, 2):  # another bundle at the same place
        shutil.rmtree(bundle, ignore_errors=True)
        handed_out(protection("uge:blind-no-undistill-quick", **HANDING), ("cat", "dog"), 32, turn)[0].write(bundle)
        with pytest.raises(KeyboardInterrupt if turn == 1 else ValueError, match=None if turn == 1 else "networks"):
            fit(protection("uge:blind-no-undistill-quick", **given), source, tmp_path / "given", stopped)
