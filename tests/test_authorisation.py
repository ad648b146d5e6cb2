"""Bundles, signed: whatever is not what was signed is named, and what is trains the same network again."""

import json
import math
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pictures import write_digits
from PIL import Image

from unlearnable import authorisation
from unlearnable.authorisation import keys, reproducing
from unlearnable.authorisation.statement import Statement, hashes, signature_file
from unlearnable.data import load_labelled
from unlearnable.run import Cancelled, Run
from unlearnable.training import Authorised, CropFlip, Recipe

RUN = Run(seed=0, device="cpu", precision="fp32")
RECIPE = Recipe(model="lenet", epochs=2, lr=0.03, batch=16, augment=(CropFlip(1, flip=False),))
ALL = ["bundle.json", "initial.safetensors", "policy.txt", "pictures.json", "authorisation.json", "signature.json"]


@dataclass(frozen=True)
class House:
    """A folder with pictures, a test set, a signed bundle and its keys."""

    root: Path

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def verified(self) -> authorisation.Verified:
        return authorisation.verify(self / "bundle", self / "protected", self / "key.pub")

    def problem(self) -> tuple[str, str]:
        found = self.verified()
        assert len(found.problems) == 1, found.problems
        assert not found.well
        return found.problems[0]

    def train(self, **more: Path) -> authorisation.Trained:
        return authorisation.train(self / "bundle", self / "protected", self / "out", RUN, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("house")
    write_digits(root / "protected", 4)
    write_digits(root / "test", 3, first=4)
    (root / "policy.txt").write_text("For research — nothing else.\n")
    authorisation.make_key(root / "key.pem")
    Authorised.drawn(RECIPE, 10, 16, seed=1).write(root / "bundle")
    places = (root / "bundle", root / "protected", root / "key.pem")
    authorisation.sign(*places, RUN, root / "policy.txt", root / "test")
    return root


@pytest.fixture
def house(made: Path, tmp_path: Path) -> House:
    return House(Path(shutil.copytree(made, tmp_path / "house")))


def test_a_signed_bundle_is_well_and_says_by_whom(house: House) -> None:
    found = house.verified()
    assert (found.problems, found.well, found.trusted, found.pictures) == ((), True, True, 40)
    assert sorted(path.name for path in (house / "bundle").iterdir()) == sorted(ALL)
    alone = authorisation.verify(house / "bundle")
    assert (alone.well, alone.trusted, alone.pictures, alone.key) == (True, False, 0, found.key)


def test_training_gives_exactly_what_the_protector_got(house: House) -> None:
    done = house.train(test=house / "test", key=house / "key.pub")
    assert (done.outcome, done.remarks) == ("exactly", ())
    assert done.accuracy == done.protector
    config = json.loads((house / "out" / "config.json").read_text())
    assert (config["model"], config["accuracy"], "seed" in config) == ("lenet", done.accuracy, False)
    assert sorted(path.name for path in (house / "out").iterdir()) == ["config.json", "network.safetensors"]
    again = replace(RECIPE, init=house / "out" / "network.safetensors")
    assert Authorised.drawn(again, 10, 16).weights.keys() == Authorised.read(house / "bundle").weights.keys()


def test_another_machine_and_another_test_set_are_said(house: House) -> None:
    (house / "test" / "0").joinpath("more.png").write_bytes(next((house / "test" / "0").iterdir()).read_bytes())
    done = house.train(test=house / "test")
    assert (done.outcome, done.remarks) == ("not comparable", ("the protector tested on other pictures",))
    statement = Statement.read((house / "bundle" / "authorisation.json").read_bytes())
    assert statement.tested is not None
    for shift, outcome in ((0.02, "within tolerance"), (0.2, "not reproduced")):
        tested = statement.tested | {"accuracy": done.accuracy + shift, "fingerprint": fingerprint(house / "test")}
        resigned(house, replace(statement, tested=tested, provenance={"torch": "1.0"}))
        shutil.rmtree(house / "out")
        other = house.train(test=house / "test")
        assert other.outcome == outcome
        assert any(remark.startswith("torch is ") and remark.endswith(", was 1.0") for remark in other.remarks)


def fingerprint(folder: Path) -> str:
    return load_labelled(folder, 16)[0].fingerprint


def resigned(house: House, statement: Statement) -> None:
    """As the owner of the key would have signed it."""
    signer = keys.private_key(house / "key.pem")
    (house / "bundle" / "authorisation.json").write_bytes(statement.as_bytes())
    signature = signature_file(keys.public_text(signer.public_key()), signer.sign(statement.as_bytes()))
    (house / "bundle" / "signature.json").write_bytes(signature)


def rehashed(house: House) -> None:
    """The files as they are now, signed."""
    statement = Statement.read((house / "bundle" / "authorisation.json").read_bytes())
    files = {path.name: path.read_bytes() for path in (house / "bundle").iterdir()}
    resigned(house, replace(statement, files=hashes(files)))


@pytest.mark.parametrize("name", ALL)
def test_one_byte_flipped_anywhere_is_noticed(house: House, name: str) -> None:
    path = house / "bundle" / name
    whole = path.read_bytes()
    for at in {0, len(whole) // 3, len(whole) // 2, len(whole) - 2}:
        data = bytearray(whole)
        data[at] ^= 1
        path.write_bytes(data)
        found = house.verified()
        assert not found.well
        wrong = {problem[0] for problem in found.problems}
        assert wrong == {name} or (name == "signature.json" and wrong == {"authorisation.json"})
        assert all("\n" not in reason for _, reason in found.problems)
        with pytest.raises(ValueError, match="cannot be trained from"):
            house.train()
    assert not (house / "out").exists()


@pytest.mark.parametrize("name", ALL)
def test_a_missing_file_is_noticed(house: House, name: str) -> None:
    (house / "bundle" / name).unlink()
    where, reason = house.problem()
    assert where == name
    assert "is missing" in reason
    assert ("not signed" in reason) == (name in ("authorisation.json", "signature.json"))


def test_unsigned_is_refused(house: House) -> None:
    Authorised.drawn(RECIPE, 10, 16).write(house / "fresh")
    found = authorisation.verify(house / "fresh", house / "protected")
    assert found.problems == (("signature.json", "is missing: the bundle is not signed"),)
    with pytest.raises(ValueError, match="not signed"):
        authorisation.train(house / "fresh", house / "protected", house / "out", RUN)


def test_another_key_is_refused_and_both_are_named(house: House) -> None:
    mine = house.verified().key
    _, theirs = authorisation.make_key(house / "other.pem")
    found = authorisation.verify(house / "bundle", key=house / "other.pub")
    assert found.problems == (("signature.json", f"is by the key {mine}, not by {theirs}"),)
    authorisation.sign(
        house / "bundle", house / "protected", house / "other.pem", RUN, house / "policy.txt", again=True
    )
    assert house.problem()[1] == f"is by the key {theirs}, not by {mine}"
    assert authorisation.verify(house / "bundle", house / "protected").well
    with pytest.raises(ValueError, match="is by the key"):
        house.train(key=house / "key.pub")


@pytest.mark.parametrize("names", [["signature.json"], ["authorisation.json", "signature.json"], ALL[3:]])
def test_the_signature_of_another_bundle_is_refused(house: House, names: list[str]) -> None:
    Authorised.drawn(RECIPE, 10, 16, seed=2).write(house / "fresh")
    authorisation.sign(house / "fresh", house / "protected", house / "key.pem", RUN)
    for name in names:
        shutil.copy(house / "fresh" / name, house / "bundle" / name)
    assert {name for name, _ in house.verified().problems} & {"authorisation.json", "bundle.json"}
    with pytest.raises(ValueError, match="cannot be trained from"):
        house.train()


def test_a_key_hidden_in_the_signature_file_changes_nothing(house: House) -> None:
    """Lines after the key would be read by a parser that joins them all, and by the library that checks it not."""
    trusted = (house / "key.pub").read_text()
    authorisation.make_key(house / "other.pem")
    authorisation.sign(
        house / "bundle", house / "protected", house / "other.pem", RUN, house / "policy.txt", again=True
    )
    said = json.loads((house / "bundle" / "signature.json").read_text())
    own = said["public_key"]
    for text in (own + trusted, trusted + own, own.replace("\n", "") + "\n" + trusted):
        said["public_key"] = text
        (house / "bundle" / "signature.json").write_text(json.dumps(said, indent=1))
        assert not house.verified().well


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("BUNDLE", lambda b: (b / "run.py").write_text("?"), "holds 'run.py', which is no part of a bundle"),
        ("BUNDLE", lambda b: (b / ".hidden").mkdir(), "holds '.hidden', which is no part"),
        ("BUNDLE", lambda b: linked(b / "policy.txt"), "no plain file but a link"),
        ("signature.json", lambda b: (b / "signature.json").write_text("[]"), "must hold a JSON object"),
        ("signature.json", lambda b: edited(b / "signature.json", algorithm="RSA"), "algorithm must be Ed25519"),
        ("signature.json", lambda b: edited(b / "signature.json", signature="!"), "no base64"),
        ("signature.json", lambda b: edited(b / "signature.json", signature=7), "signature must be str, got '7'"),
        ("signature.json", lambda b: edited(b / "signature.json", public_key="x"), "public_key is no Ed25519 key"),
        ("authorisation.json", lambda b: edited(b / "signature.json", signature="AAAA"), "is not what was signed"),
        ("signature.json", lambda b: spaced(b / "signature.json"), "it was altered"),
        ("signature.json", lambda b: noted(b / "signature.json"), "it was altered"),
    ],
)
def test_a_spoilt_bundle_is_refused(house: House, name: str, spoil: Callable[[Path], object], said: str) -> None:
    spoil(house / "bundle")
    where, reason = house.problem()
    assert where == name
    assert said in reason


def linked(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def edited(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values, indent=1))


def spaced(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def noted(path: Path) -> None:
    """A word of somebody else's round the key, which a reader of PEM passes over."""
    edited(path, public_key="note\n" + json.loads(path.read_text())["public_key"])


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("authorisation.json", {"files": {"../../etc/passwd": "0"}}, "unknown"),
        ("authorisation.json", {"classes": ("0", "1")}, "other classes"),
        ("authorisation.json", {"tested": {"accuracy": "high"}}, "field"),
        ("authorisation.json", {"tested": {"accuracy": 10**400, "pictures": 1, "fingerprint": ""}}, "must be 0 to 1"),
        ("authorisation.json", {"tested": {"accuracy": math.nan, "pictures": 1, "fingerprint": ""}}, "must be 0 to 1"),
        ("authorisation.json", {"provenance": {"hardware": "mine"}}, "hardware must be dict, got 'mine'"),
        ("authorisation.json", {"classes": (1, 2)}, "must be text"),
    ],
)
def test_a_signer_who_says_the_impossible_is_refused(
    house: House, name: str, change: dict[str, object], said: str
) -> None:
    path = house / "bundle" / "authorisation.json"
    edited(path, **change)
    signer = keys.private_key(house / "key.pem")
    signature = signature_file(keys.public_text(signer.public_key()), signer.sign(path.read_bytes()))
    (house / "bundle" / "signature.json").write_bytes(signature)
    problems = dict(house.verified().problems)
    if "files" in change:  # names are compared with what lies there; nothing is opened by them
        assert problems["../../etc/passwd"] == "is missing from the bundle"
        assert problems["bundle.json"] == "was not signed: it was added later"
    else:
        assert any(said in reason for reason in problems.values())


@pytest.mark.parametrize("listing", ['{"a": "b"}', "[]", "{", '{"0/1.png": ["0", 3]}', '{"0/1.png": ["cat", "00"]}'])
def test_a_signed_listing_that_is_none_is_refused(house: House, listing: str) -> None:
    (house / "bundle" / "pictures.json").write_text(listing)
    rehashed(house)
    assert house.problem()[0] == "pictures.json"


def test_signed_weights_of_another_network_are_refused(house: House) -> None:
    """Somebody signs what cannot be trained: the bundle is read only after its signature, but no less strictly."""
    edited(house / "bundle" / "bundle.json", model="cnn")
    rehashed(house)
    where, reason = house.problem()
    assert where == "bundle.json"
    assert "the weights are not those of cnn" in reason


def test_every_picture_that_differs_is_named(house: House) -> None:
    pictures = sorted((house / "protected" / "3").iterdir())
    with Image.open(pictures[0]) as picture:
        picture.load()
    picture.putpixel((0, 0), (1, 2, 3))
    picture.save(pictures[0])
    pictures[1].unlink()
    pictures[2].rename(house / "protected" / "4" / "moved.png")
    found = dict(house.verified().problems)
    assert found == {
        f"3/{pictures[0].name}": "is not the file that was signed: altered, or saved again",
        f"3/{pictures[1].name}": "is missing among the protected pictures",
        f"3/{pictures[2].name}": "is missing among the protected pictures",
        "4/moved.png": "is not among the pictures that were signed",
    }
    with pytest.raises(ValueError, match="and 3 more: unlearnable authorise verify names them"):
        house.train()


def test_another_data_set_is_one_line(house: House) -> None:
    write_digits(house / "others", 2, first=8)
    found = authorisation.verify(house / "bundle", house / "others")
    assert found.problems == (
        ("PROTECTED", "none of its 20 pictures is as signed: the bundle is for another data set"),
    )


def test_a_class_that_was_renamed_is_refused(house: House) -> None:
    (house / "protected" / "3").rename(house / "protected" / "three")
    assert {name.partition("/")[0] for name, _ in house.verified().problems} == {"3", "three"}


def test_labels_beside_the_names_are_signed_too() -> None:
    """In a tar or a table the class is not part of the name."""
    signed, found = {"a.png": ["cat", "0"], "b.png": ["dog", "1"]}, {"a.png": ["dog", "0"], "b.png": ["dog", "1"]}
    from unlearnable.authorisation.pictures import differences

    assert list(differences(signed, found)) == [("a.png", "is of class 'dog', and was signed as 'cat'")]


def test_packed_into_a_zip_it_is_the_same_set_and_notes_do_not_count(house: House) -> None:
    (house / "protected" / "notes.txt").write_text("mine")
    with zipfile.ZipFile(house / "protected.zip", "w") as archive:
        for path in sorted((house / "protected").rglob("*.*")):
            archive.write(path, path.relative_to(house / "protected"))
    assert authorisation.verify(house / "bundle", house / "protected.zip").well
    assert house.verified().well


def test_what_training_passes_over_and_others_may_not_is_named(house: House) -> None:
    other = next((house / "test" / "3").iterdir())
    (house / "protected" / "3" / "more.png").symlink_to(other)
    (house / "protected" / "more").symlink_to(house / "test" / "4")
    (house / "protected" / "more.zip").write_bytes(b"PK")
    with zipfile.ZipFile(house / "protected.zip", "w") as archive:
        for path in sorted((house / "protected").rglob("[0-9]*.png")):
            archive.write(path, path.relative_to(house / "protected"))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.write(other, path.relative_to(house / "protected"))
    assert dict(house.verified().problems) == {
        "3/more.png": "symbolic link that leads out of SRC", "more": "symbolic link to a folder, not followed"
    }  # fmt: skip
    found = authorisation.verify(house / "bundle", house / "protected.zip")
    name = str(path.relative_to(house / "protected"))
    assert found.problems == ((name, "another member of the archive has the same name"),)
    with pytest.raises(ValueError, match=r"holds '3/more\.png', which cannot be signed: symbolic link"):
        authorisation.sign(
            house / "bundle", house / "protected", house / "key.pem", RUN, house / "policy.txt", again=True
        )


def test_what_was_verified_is_what_is_trained_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def exchanged(path: Path, size: int, **more: str) -> object:
        one, other = list((house / "protected" / "3").iterdir())[:2]
        one.write_bytes(other.read_bytes())
        return load_labelled(path, size, **more)

    monkeypatch.setattr(reproducing, "load_labelled", exchanged)
    with pytest.raises(ValueError, match="is not the file that was signed"):
        house.train()
    assert not (house / "out").exists()


@pytest.mark.parametrize(
    ("classes", "size", "said"),
    [
        (9, 16, "for 9 classes, these images have 10"),
        (tuple("abcdefghij"), 16, "it has 'a' where these images have '0'"),
    ],
)
def test_pictures_of_other_classes_are_not_signed(
    house: House, classes: int | tuple[str, ...], size: int, said: str
) -> None:
    Authorised.drawn(RECIPE, classes, size).write(house / "fresh")
    with pytest.raises(ValueError, match=said):
        authorisation.sign(house / "fresh", house / "protected", house / "key.pem", RUN)
    assert len(list((house / "fresh").iterdir())) == 2


def test_test_pictures_of_other_classes_are_refused(house: House) -> None:
    (house / "test" / "3").rename(house / "test" / "three")
    with pytest.raises(ValueError, match="TEST has other classes than PROTECTED: '3' is in one of them only"):
        house.train(test=house / "test")
    places = (house / "bundle", house / "protected", house / "key.pem")
    with pytest.raises(ValueError, match="TEST has other classes"):
        authorisation.sign(*places, RUN, house / "policy.txt", house / "test", again=True)
    assert house.verified().well


def test_a_signature_is_replaced_only_when_told(house: House) -> None:
    places = (house / "bundle", house / "protected", house / "key.pem")
    before = {path.name: path.read_bytes() for path in (house / "bundle").iterdir()}
    with pytest.raises(ValueError, match="signed already: --overwrite signs it anew"):
        authorisation.sign(*places, RUN)
    assert before == {path.name: path.read_bytes() for path in (house / "bundle").iterdir()}
    with pytest.raises(ValueError, match="has a policy: --policy names it again"):
        authorisation.sign(*places, RUN, again=True)
    assert before == {path.name: path.read_bytes() for path in (house / "bundle").iterdir()}
    assert authorisation.sign(*places, RUN, house / "policy.txt", again=True).accuracy is None
    assert house.verified().well
    (house / "bundle" / "policy.txt").unlink()
    authorisation.sign(*places, RUN, again=True)
    assert house.verified().well
    assert not (house / "bundle" / "policy.txt").exists()


def test_a_policy_that_is_no_text_is_refused(house: House) -> None:
    (house / "policy.txt").write_bytes(b"\xff\xfe\x00")
    places = (house / "bundle", house / "protected", house / "key.pem")
    for path in (house / "policy.txt", house / "nowhere.txt"):
        with pytest.raises(ValueError, match="is no text file in UTF-8"):
            authorisation.sign(*places, RUN, policy=path, again=True)


def test_a_key_is_the_owners_alone_and_never_written_over(house: House) -> None:
    assert (house / "key.pem").stat().st_mode & 0o777 == 0o600
    before = (house / "key.pem").read_bytes()
    for name in ("key.pem", "key.key", "key.pub"):  # each would write key.pub, or is it
        with pytest.raises(ValueError, match="name another file"):
            authorisation.make_key(house / name)
    assert (house / "key.pem").read_bytes() == before
    assert not (house / "key.key").exists()
    with pytest.raises(ValueError, match=r"ends in \.pub"):
        authorisation.make_key(house / "fresh.pub")
    for path in (Path(), Path("/")):
        with pytest.raises(ValueError, match=r"is a folder: name a file"):
            authorisation.make_key(path)


def test_what_is_no_key_is_refused(house: House) -> None:
    other = rsa.generate_private_key(65537, 1024)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (house / "rsa.pem").write_bytes(other.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    secret = keys.private_key(house / "key.pem")
    locked = secret.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"x"))
    (house / "locked.pem").write_bytes(locked)
    for name, said in {
        "rsa.pem": "no Ed25519 private key", "locked.pem": "asks for a password", "key.pub": "no Ed25519 private key",
        "nowhere.pem": "is no file", "policy.txt": "no Ed25519 private key",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=said):
            keys.private_key(house / name)
    for name, said in {"key.pem": "is a private key: give the public one", "policy.txt": "no Ed25519 public"}.items():
        with pytest.raises(ValueError, match=said):
            authorisation.verify(house / "bundle", key=house / name)


def test_without_the_library_it_says_what_to_install(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"pip install 'unlearnable\[authorise\]'"):
        house.verified()
    assert Authorised.read(house / "bundle").count == 10


def test_out_is_a_new_folder_outside_of_what_it_reads(house: House) -> None:
    (house / "out").mkdir()
    (house / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something already"):
        house.train()
    for place in ("bundle", "protected"):
        with pytest.raises(ValueError, match=f"lies in {place.upper()}"):
            authorisation.train(house / "bundle", house / "protected", house / place / "out", RUN)
    assert house.verified().well


def test_training_that_was_stopped_goes_on(house: House) -> None:
    stops = iter([False, True])
    stopping = replace(RUN, cancelled=lambda: next(stops))
    with pytest.raises(Cancelled):
        authorisation.train(house / "bundle", house / "protected", house / "out", stopping, house / "test")
    assert (house / "out" / ".checkpoints" / "train.safetensors").exists()
    assert house.train(test=house / "test").outcome == "exactly"


def test_killed_while_writing_it_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reproducing, "_compared", killed)
        with pytest.raises(KeyboardInterrupt):
            house.train()
    assert (house / "out" / "network.safetensors").exists()
    (house / "out" / ".config.json.tmp").write_text("{")
    assert house.train(test=None).accuracy is None
    assert sorted(path.name for path in (house / "out").iterdir()) == ["config.json", "network.safetensors"]
    (house / "bundle" / ".policy.txt.tmp").write_text("For")
    assert house.verified().well
    authorisation.sign(house / "bundle", house / "protected", house / "key.pem", RUN, house / "policy.txt", again=True)
    assert sorted(path.name for path in (house / "bundle").iterdir()) == sorted(ALL)


def test_what_a_bundle_is_can_be_asked_of_any(house: House) -> None:
    found = authorisation.inspect(house / "bundle")
    assert "seed" not in found["network"]
    assert (found["pictures"], found["policy"]) == (40, "For research — nothing else.\n")
    assert found["signed_by"] == house.verified().key
    (house / "bundle" / "pictures.json").unlink()
    with pytest.raises(ValueError, match=r"bundle lacks pictures\.json, which a signed bundle has"):
        authorisation.inspect(house / "bundle")
    for name in set(ALL[2:]) - {"pictures.json"}:
        (house / "bundle" / name).unlink()
    found = authorisation.inspect(house / "bundle")
    assert (found["signed_by"], found["statement"], found["network"]["model"]) == (None, None, "lenet")
