"""What the pages say of the three scenarios, from what the commands said."""

import json
from pathlib import Path

import pytest

from benchmarks import scenarios

SAID = {"out": "out", "authorised": [0.9, 0.7], "margin": 0.2, "key": None, "flags": ["few-seeds"], "method": "uge"}


def about(commit: str) -> dict[str, object]:
    return {"commit": commit, "hardware": {"processor": "P"}, "date": "2026-11-22"}


def test_a_release_says_the_least_of_its_networks_and_what_to_doubt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scenarios, "_ran", lambda words, folder: json.dumps(SAID))
    found = scenarios.released()
    assert found == {"authorised": 0.7, "margin": 0.2, "flags": ["few-seeds"]}
    monkeypatch.setattr(scenarios, "RESULT", tmp_path / "scenarios.json")
    (tmp_path / "scenarios.json").write_text(json.dumps({"release": found | {"provenance": about("a")}}))
    text = scenarios.text("release")
    assert "| authorised | 0.7 |\n| margin | 0.2 |\n| flags | `few-seeds` |\n" in text


def test_all_commits_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scenarios, "RESULT", tmp_path / "scenarios.json")
    outsiders = {images: {"cnn": [0.5, 0.6]} for images in ("published", "clean")}
    one = {"rounds": [0.1, 0.9], "failed": [0, 0], "outsiders": outsiders}
    kept = {key: one | {"provenance": about(key[0])} for key in ("iid, protected", "dirichlet:0.5, clean")}
    (tmp_path / "scenarios.json").write_text(json.dumps(kept))
    assert scenarios.text("together").endswith("\n\nCommit `d`, `i`, P, 2026-11-22, seed 0.")
