"""A fitted protection undoes what it did: it goes to nobody unasked, and is never half of one and half of another."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from unlearnable import perturbation
from unlearnable.perturbation import ClassWise, load, save
from unlearnable.pretrained import FittedProtection

ABOUT = {"protection": {"name": "lsp", "budget": {"norm": "linf", "eps": 8 / 255}}, "seed": 0}


@pytest.mark.parametrize("public", [False, True])
def test_nothing_is_pushed_to_a_place_that_was_public_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, public: bool
) -> None:
    """The hub takes `private` for a new place only."""
    sent: list[str] = []
    hub = SimpleNamespace(
        create_repo=lambda name, exist_ok, private: None,
        repo_info=lambda name: SimpleNamespace(private=name == "me/private"),
        upload_folder=lambda repo_id, folder_path, allow_patterns: sent.append(repo_id),
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    fitted = FittedProtection(ClassWise(torch.zeros(2, 3, 4, 4)), ABOUT)
    fitted.save_pretrained(tmp_path / "kept", push_to="hf://me/private")
    if public:
        fitted.save_pretrained(tmp_path / "kept", push_to="hf://me/public", public=True)
        assert sent == ["me/private", "me/public"]
        return
    with pytest.raises(ValueError, match=r"'hf://me/public' is public, .* name a private one, or say public=True"):
        fitted.save_pretrained(tmp_path / "kept", push_to="hf://me/public")
    assert sent == ["me/private"]


@pytest.mark.parametrize("moment", ["save_file", "write_atomically"])
def test_a_folder_saved_over_and_killed_meanwhile_is_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    save(tmp_path, ClassWise(torch.zeros(2, 3, 4, 4)), ABOUT)

    def killed(*given: object) -> None:
        if moment == "save_file":
            save_file(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(perturbation, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, ClassWise(torch.ones(2, 3, 4, 4)), ABOUT | {"seed": 1})
    if moment == "save_file":
        found, config = load(tmp_path)
        assert (float(vars(found)["delta"].max()), config["seed"]) == (0.0, 0)
    else:
        with pytest.raises(ValueError, match="holds no fitted protection"):
            load(tmp_path)
    save(tmp_path, ClassWise(torch.ones(2, 3, 4, 4)), ABOUT | {"seed": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "perturbation.safetensors"]
    assert load(tmp_path)[1]["seed"] == 1
