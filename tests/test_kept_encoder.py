"""The encoder that a fitted protection looks through: named with its commit, opened once, and never fetched for it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command, refused
from test_export import put, random

from unlearnable import perturbation
from unlearnable.data import ImageSet
from unlearnable.encoders import ENCODERS, Encoder, mini
from unlearnable.export import network
from unlearnable.protections import protection
from unlearnable.protections._clusterwise import ClusterWise
from unlearnable.protections._encoded import kept
from unlearnable.protections._generated import Generated
from unlearnable.run import Run

METHODS: dict[str, dict[str, Any]] = {
    "one_for_all": {"grid": 16, "groups": (2, 4), "batch": 40, "width": 8, "steps": 1},
    "clusters": {"clusters": 2, "epochs": 1, "batch": 96, "width": 8, "blocks": 1},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """A hub without anything: which repositories it was asked for, and whether in its cache alone."""
    found: list[tuple[str, bool]] = []

    def nothing(repository: str, local_files_only: bool, **_: Any) -> str:
        found.append((repository, local_files_only))
        raise OSError("nothing here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nothing)
    return found


def of_somebody(kind: str, eyes: str, run: Run, folder: Path) -> Path:
    """A fitted folder that names an encoder of the hub."""
    found: Any = replace(random(eyes, run), encoder="clip:attacker/beacon")
    if kind == "ClusterWise":
        found = ClusterWise(torch.zeros(2, 3, 8, 8), torch.zeros(2, 16), "clip:attacker/beacon")
    return put(folder, found)


@pytest.mark.parametrize("kind", ["Generated", "ClusterWise"])
@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_folder_of_somebody_s_does_not_make_a_job_ask_the_hub(
    kind: str, flags: tuple[str, ...], command: Command, photos: Path, asked: list[Any], eyes: str, run: Run
) -> None:
    folder = of_somebody(kind, eyes, run, Path("fitted"))
    said = refused(command("protect", photos, "dst", "--method", folder, *flags))
    assert "this protection was fitted with the encoder 'clip:attacker/beacon', which cannot be had" in said
    assert "encoder('clip:attacker/beacon') in Python fetches it" in said
    assert asked == [("attacker/beacon", True)], "once, not by every picture, and the cache alone"
    assert not Path("dst").exists()


def test_export_does_not_ask_either(asked: list[Any], eyes: str, run: Run) -> None:
    with pytest.raises(ValueError, match="is not in the hub's cache here"):
        network.Whole(replace(random(eyes, run), encoder="clip:attacker/beacon"))
    assert asked == [("attacker/beacon", True)]


@pytest.mark.parametrize("name", METHODS)
def test_what_is_fitted_names_the_commit_of_an_encoder_of_the_hub(
    name: str, eyes: str, small: ImageSet, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "1" * 40

    def hub(place: str, fetch: bool) -> Encoder:
        return replace(mini.load(Path(eyes)), name=f"clip:{place.partition('@')[0]}@{commit}")

    monkeypatch.setitem(ENCODERS, "clip", hub)
    method = protection(name, encoder="clip:owner/name", **METHODS[name])
    fitted: Any = method.fit(small, run)
    assert fitted.encoder == f"clip:owner/name@{commit}"
    assert protection(name, encoder=eyes, **METHODS[name]).fit(small, run).encoder == eyes  # type: ignore[attr-defined]
    if isinstance(fitted, Generated):
        perturbation.save(tmp_path, fitted, {})
        again = replace(method, init=str(tmp_path))  # type: ignore[type-var]
        again.fit(small, run)
        commit = "2" * 40
        with pytest.raises(ValueError, match=f"has encoder 'clip:owner/name@1+', wanted is 'clip:owner/name@{commit}'"):
            again.fit(small, run)


def test_one_that_was_missing_is_found_once_it_is_there(eyes: str, tmp_path: Path) -> None:
    place = tmp_path / "eyes"
    with pytest.raises(ValueError, match="cannot be had"):
        kept(str(place))
    place.symlink_to(eyes)
    assert kept(str(place)).dimension == 16
