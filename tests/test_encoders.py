"""Encoders: unit vectors for any picture and any name; real loading code on tiny networks made here."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

from unlearnable.encoders import ENCODERS, Clip, Encoder, Mini, clip, clip_files, encoder, mini
from unlearnable.encoders.mini import Sizes
from unlearnable.encoders.words import Words, cleaned, plain, rows
from unlearnable.models.layers import Bicubic
from unlearnable.models.pretrained import Body, load_pretrained
from unlearnable.run import Run

SMALL = Sizes(side=32, dimension=8, buckets=64, width=4)
NAMES = ["n02123045_tabby", "school bus", "GolfBall"]
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def pictures(n: int, height: int, width: int) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def photograph() -> Tensor:
    """A square of a photograph that comes with scikit-learn, (1, 3, 400, 400)."""
    return torch.from_numpy(load_sample_image("china.jpg")[:400, :400] / np.float32(255)).permute(2, 0, 1)[None]


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of two thin layers with random weights, and a tokenizer of letters and one merge."""
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789'"
    vocabulary = [*letters, *(letter + "</w>" for letter in letters), "an</w>", *SPECIAL]
    (folder / "vocab.json").write_text(json.dumps({token: row for row, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\na n</w>\n")
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    start, end = len(vocabulary) - 2, len(vocabulary) - 1
    ids = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    text = layers | ids | {"vocab_size": len(vocabulary), "max_position_embeddings": 24}
    config = CLIPConfig(text_config=text, vision_config=layers | {"image_size": 32, "patch_size": 8}, projection_dim=12)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(clip_folder: Path, tmp_path: Path) -> Path:
    """One of which a test may spoil something."""
    return Path(shutil.copytree(clip_folder, tmp_path / "copy"))


@pytest.fixture(params=["mini", "clip"])
def either(request: pytest.FixtureRequest, run: Run, clip_folder: Path) -> Encoder:
    return Mini.random(run, SMALL) if request.param == "mini" else encoder(f"clip:{clip_folder}").to(run)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (32, 32), (33, 500)])
def test_pictures_of_any_size_become_unit_vectors(either: Encoder, height: int, width: int) -> None:
    found = either.image(pictures(2, height, width))
    assert found.shape == (2, either.dimension)
    assert torch.allclose(found.norm(dim=1), torch.ones(2), atol=1e-5)


def test_the_gradient_reaches_the_picture_and_nothing_else(either: Encoder) -> None:
    x = pictures(2, 20, 45).requires_grad_()
    target = either.text(NAMES[:1])
    assert not target.requires_grad
    (either.image(x) @ target[0]).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.5


def test_names_become_unit_vectors_wherever_they_stand(either: Encoder) -> None:
    names = [*NAMES, "a", "supercalifragilistic über-jack-o'-lantern 3 of the very long names, cut where it must be"]
    found = either.text(names)
    assert found.shape == (5, either.dimension)
    assert torch.allclose(found.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(either.text(names[::-1]).flip(0), found, atol=1e-5)
    assert torch.allclose(either.text(names[3:4]), found[3:4], atol=1e-5)
    assert torch.allclose(either.text(["golf_ball", "tabby"]), found[[2, 0]], atol=1e-5)
    assert (found @ found.T).triu(1).max() < 1 - 1e-6


@pytest.mark.parametrize(
    ("names", "said"),
    [([], "one or more, in a list, got []"), ("cat", "in a list, got 'cat'"), (["cat", "__"], "a digit, got '__'")],
)
def test_names_that_are_none_are_refused(either: Encoder, names: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        either.text(names)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n02123045_tabby", "tabby"), ("bus_interior", "bus interior"), ("GolfBall", "golf ball"), ("iPod", "ipod"),
        ("TVScreen", "tv screen"), ("T-shirt", "t shirt"), ("  Two\twords ", "two words"), ("cafe\u0301", "café"),
    ],
)  # fmt: skip
def test_folder_names_as_words(name: str, words: str) -> None:
    assert plain(name) == words


def test_hashes_are_those_of_the_shipped_table() -> None:
    """Another hash would leave its weights behind: these are fixed for good."""
    assert rows("ox", 16384) == ((13238,), (9415, 10795, 11479))
    assert rows("cat", 16384) == ((5967,), (10688, 279, 2372, 12593, 283, 15535))


def test_the_word_that_says_what_it_is_has_a_row_of_its_own() -> None:
    bus, school, vehicle = (rows(name, 1 << 40)[0][0] for name in ("bus", "school", "vehicle"))
    for name in ("school bus", "bus (vehicle)", "(school) bus"):
        whole, _ = rows(name, 1 << 40)
        assert whole[0] == bus
        assert len(whole) == 2
        assert not set(whole[1:]) & {school, vehicle}
    assert rows("bus school", 1 << 40)[0][0] == school
    assert sorted(rows("bus school", 1 << 40)[1]) == sorted(rows("school bus", 1 << 40)[1])


def test_a_name_is_two_mean_rows_and_two_layers() -> None:
    words = Words(8, 64, 4)
    whole, parts = (words.table.weight[list(found)].mean(0) for found in rows("school bus", 64))
    by_hand = words.layers(torch.cat([whole, parts]))
    assert torch.allclose(words(["School_Bus"])[0], by_hand / by_hand.norm(), atol=1e-5)


def test_the_vectors_of_mini_are_those_of_its_definition(run: Run) -> None:
    drawn = Mini.random(run, SMALL)
    drawn.network.mean.data.fill_(0.01)
    features = drawn.features(photograph())
    assert features.shape == (1, 1280)
    unit = features / features.norm(dim=1, keepdim=True) - 0.01
    by_hand = unit @ drawn.network.image.weight.T + drawn.network.image.bias
    assert torch.allclose(drawn.image(photograph()), by_hand / by_hand.norm(), atol=1e-5)


def test_pictures_are_squashed_as_pillow_does_it() -> None:
    """Shrunk and enlarged; Pillow rounds to grey levels after each of its two passes, which we do not."""
    picture = load_sample_image("flower.jpg")[:90, :200]
    for side in (32, 224):
        theirs = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)) / 255
        ours = Bicubic(side)(torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None])
        assert np.abs(ours[0].permute(1, 2, 0).numpy() - theirs).max() < 1.5 / 255
        assert 0 <= ours.min() <= ours.max() <= 1


def test_mini_is_read_back_as_it_was_written(run: Run, tmp_path: Path) -> None:
    drawn = Mini.random(run, SMALL)
    for half, tolerance in ((True, 1e-3), (False, 0.0)):
        drawn.save(tmp_path / "one", {"seconds": 3}, half)
        read = encoder(str(tmp_path / "one"))
        assert isinstance(read, Mini)
        assert (read.name, read.sizes) == (f"mini:{tmp_path / 'one'}", SMALL)
        assert encoder(read.name).name == read.name
        assert not read.network.training
        state = read.network.state_dict()
        for name, value in drawn.network.state_dict().items():
            assert state[name].dtype == torch.float32
            assert torch.allclose(state[name], value, rtol=tolerance, atol=tolerance), name
        read.to(run)  # the layout of the weights decides the order of a sum
        assert torch.allclose(read.text(NAMES), drawn.text(NAMES), atol=10 * tolerance)
        assert torch.allclose(read.image(photograph()), drawn.image(photograph()), atol=10 * tolerance)
    assert json.loads((tmp_path / "one/config.json").read_text())["seconds"] == 3


def test_reading_mini_draws_no_random_numbers(run: Run, tmp_path: Path) -> None:
    Mini.random(run, SMALL).save(tmp_path, {})
    before = torch.random.get_rng_state()
    mini.load(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_seed_draws_one_mini() -> None:
    first, again, other = (Mini.random(Run(seed=seed, device="cpu"), SMALL).text(NAMES) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)


def test_parts_of_mini_can_be_thawed(run: Run) -> None:
    drawn = Mini.random(run, SMALL)
    drawn.network.words.requires_grad_(True)
    drawn.network.image.requires_grad_(True)
    (drawn.seen(drawn.features(pictures(2, 32, 32))) @ drawn.text(NAMES).T).sum().backward()
    moved = {name for name, value in drawn.network.named_parameters() if value.grad is not None}
    assert moved == {name for name, _ in drawn.network.named_parameters() if name.startswith(("words.", "image."))}


def test_the_body_takes_the_published_weights(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    body = Body(Bicubic(32))
    save_file({name: value + 1 for name, value in body.state_dict().items()}, tmp_path / "body.safetensors")
    before = body.state_dict()["conv03.weight"].clone()
    load_pretrained(body, tmp_path / "body.safetensors")
    assert torch.equal(body.state_dict()["conv03.weight"], before + 1)
    with pytest.raises(ValueError, match="1001 classes, the network 0"):
        load_pretrained(body, tmp_path / "body.safetensors", classifier=True)


def test_a_picture_in_clip_is_what_transformers_makes_of_it(clip_folder: Path) -> None:
    """Of a square one, whose middle is all of it; within what Pillow's rounding to grey levels changes."""
    found = clip.load(str(clip_folder))
    rounded = (Bicubic(32)(photograph()) * 255).round() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (clip_files.MEAN, clip_files.STD))
    with torch.no_grad():
        theirs = found.model(
            pixel_values=(rounded - mean) / std, **found.tokenizer(["a photo of a cat"], return_tensors="pt")
        )
    assert torch.allclose(found.image(photograph()), theirs.image_embeds, atol=5e-3)
    assert torch.allclose(found.image(rounded), theirs.image_embeds, atol=1e-5)
    assert torch.allclose(found.text(["n02121808_Cat"]), theirs.text_embeds, atol=1e-5)


def test_clip_says_names_in_its_template(clip_folder: Path) -> None:
    plainly, drawn = clip.load(str(clip_folder)), clip.load(str(clip_folder), "a drawing of a {}")
    assert not torch.allclose(plainly.text(["cat"]), drawn.text(["cat"]), atol=1e-3)
    with pytest.raises(ValueError, match=r"as 'a photo of a {}' does, got 'a photo'"):
        clip.load(str(clip_folder), "a photo")


def test_clip_normalises_as_the_folder_says(copy: Path) -> None:
    before = clip.load(str(copy))
    assert (before.mean, before.std) == (clip_files.MEAN, clip_files.STD)
    said = {"image_mean": [0, 0.5, 0.5], "image_std": [1, 1, 0.5]}
    (copy / "processor_config.json").write_text(json.dumps({"image_processor": said}))
    assert clip.load(str(copy)).mean == (0.0, 0.5, 0.5)
    (copy / "preprocessor_config.json").write_text(json.dumps(said | {"image_mean": [0.1, 0.5, 0.5]}))
    after = clip.load(str(copy))
    assert (after.mean, after.std) == ((0.1, 0.5, 0.5), (1.0, 1.0, 0.5))
    assert not torch.allclose(after.image(photograph()), before.image(photograph()), atol=1e-3)
    for wrong in ([1, 1], [1, 1, 0], None, ["a", 1, 1]):
        (copy / "preprocessor_config.json").write_text(json.dumps(said | {"image_std": wrong}))
        with pytest.raises(ValueError, match="must be three numbers each"):
            clip.load(str(copy))


def test_a_clip_folder_is_known_by_its_config(clip_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = encoder(str(clip_folder))
    assert isinstance(found, Clip)
    assert found.name == f"clip:{clip_folder}"
    assert not any(value.requires_grad for value in found.model.parameters())
    assert not found.model.training
    assert capfd.readouterr() == ("", "")


def test_half_precision_on_disk_is_float32_in_memory(copy: Path) -> None:
    from transformers import CLIPModel

    CLIPModel.from_pretrained(copy).half().save_pretrained(copy)
    assert {value.dtype for value in clip.load(str(copy)).model.parameters()} == {torch.float32}


def drop(*files: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return spoil


def write(file: str, text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / file).write_text(text)

    return spoil


def only_pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def of_half_the_tensors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    kept = {name: value for name, value in load_file(folder / "model.safetensors").items() if "text_" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_tokenizer(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps(vocabulary | {"zz": len(vocabulary)}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (drop("model.safetensors"), "is not all of a CLIP: it lacks model.safetensors$"),
        (drop("config.json", "merges.txt"), "it lacks config.json, vocab.json and merges.txt"),
        (only_pickled, "pytorch_model.bin alone, which would have to be unpickled: bring model.safetensors"),
        (write("config.json", "{"), "config.json cannot be read as JSON"),
        (write("config.json", '{"model_type": "bert"}'), "model_type in its config.json must be 'clip', got 'bert'"),
        (write("model.safetensors", "nothing"), "cannot be read as CLIP"),
        (write("vocab.json", "[]"), "cannot be read as CLIP"),
        (of_half_the_tensors, "its weights lack .* tensors, first text_"),
        (of_another_tokenizer, "its tokenizer has 78 tokens, its network 77: bring its own"),
    ],
)
def test_a_folder_that_is_no_whole_clip_is_refused_in_one_line(
    copy: Path, spoil: Callable[[Path], None], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil(copy)
    with pytest.raises(ValueError, match=said) as caught:
        encoder(f"clip:{copy}")
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_what_the_hub_gives_is_named_with_its_commit(
    clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def snapshot(repository: str, revision: str | None, allow_patterns: list[str], local_files_only: bool) -> str:
        asked.append((repository, revision))
        assert not local_files_only
        assert not any(".bin" in pattern for pattern in allow_patterns)
        return str(shutil.copytree(clip_folder, tmp_path / COMMIT, dirs_exist_ok=True))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert encoder("clip:owner/name").name == encoder("clip:owner/name@refs/pr/1").name == f"clip:owner/name@{COMMIT}"
    assert asked == [("owner/name", None), ("owner/name", "refs/pr/1")]


def test_without_a_network_the_files_to_bring_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*args: Any, **options: Any) -> str:
        raise OSError("cannot reach\nthe hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nothing)
    said = (
        r"hub does not give it \(OSError: cannot reach the hub\): bring a folder with config.json, model.safetensors, "
    )
    with pytest.raises(
        ValueError, match=said + r"vocab.json and merges.txt \(or tokenizer.json\), and say clip:FOLDER"
    ):
        encoder("clip:owner/name")


def test_without_transformers_the_extra_is_named(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=re.escape("pip install 'unlearnable[clip]'")):
        encoder(f"clip:{clip_folder}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("maxi", "encoder must be mini, mini:FOLDER, clip:FOLDER, .*, got 'maxi', which is no folder here"),
        ("clip", "needs to know which: clip:FOLDER"),
        ("clip:no_such_folder", "must be a folder, or OWNER/NAME"),
        ("clip:../no/such/folder", "must be a folder, or OWNER/NAME"),
        ("mini:nowhere", "nowhere holds no mini encoder: it lacks config.json and mini.safetensors"),
    ],
)
def test_names_that_no_encoder_has(name: str, said: str) -> None:
    assert list(ENCODERS) == ["mini", "clip"]
    with pytest.raises(ValueError, match=said):
        encoder(name)


def test_a_folder_without_mini_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no encoder: config.json is missing"):
        encoder(str(tmp_path))
    Mini.random(run, SMALL).save(tmp_path, {})
    config = tmp_path / "config.json"
    written = json.loads(config.read_text())
    for text, said in {
        json.dumps(written | {"buckets": 65}): r"that can be read: RuntimeError: .* words.table.weight: .*\[65, 4\]",
        json.dumps({k: v for k, v in written.items() if k != "side"}): "KeyError: 'side'",
        "[]": "holds no mini encoder that can be read: TypeError",
        "{": "holds no encoder: its config.json cannot be read",
    }.items():
        config.write_text(text)
        with pytest.raises(ValueError, match=said):
            encoder(str(tmp_path))
    config.write_text(json.dumps(written))
    (tmp_path / "mini.safetensors").unlink()
    with pytest.raises(ValueError, match=r"it lacks mini.safetensors; bring what Mini.save wrote"):
        encoder(str(tmp_path))


def test_the_shipped_one_is_there_or_its_files_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mini, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match=r"it lacks config.json and mini.safetensors"):
        encoder("mini")
    Mini.random(Run(device="cpu"), SMALL).save(tmp_path, {})
    assert encoder("mini").name == "mini"


def test_cleaned_names_keep_their_order() -> None:
    assert cleaned(NAMES) == ["tabby", "school bus", "golf ball"]
