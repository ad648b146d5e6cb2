"""A release: two halves that are never mixed, the same bytes however often it was stopped, and what the card says."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from commands import Command, refused
from pictures import write_digits
from safetensors.torch import load_file

from unlearnable import authorisation, job
from unlearnable.authorisation import published
from unlearnable.authorisation.card import card, separates
from unlearnable.authorisation.release import Release, release
from unlearnable.pixels import Budget
from unlearnable.protections.uge import UGE
from unlearnable.run import Cancelled, Run
from unlearnable.training import handed_out

RUN = Run(seed=0, device="cpu", precision="fp32", save_every=0.0)
METHOD = UGE(**UGE.presets["blind"] | {"model": "resnet8", "epochs": 2, "width": 4, "blocks": 1, "passes": 8,
                                       "lr": 0.02, "surrogates": ("lenet",), "batch": 32})  # fmt: skip
FLAGS = ("--model", "resnet8", "--epochs", "1", "--width", "4", "--blocks", "1", "--steps", "8", "--lr", "0.05",
         "--surrogates", '["lenet"]', "--quiet")  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    write_digits(root / "photos", 3, pencil=True)  # black and white leave no room in one direction of colour
    write_digits(root / "test", 2, first=3, pencil=True)
    (root / "photos" / "notes.txt").write_text("mine")
    (root / "policy.txt").write_text("For research — nothing else.\n\n# No heading\n")
    authorisation.make_key(root / "key.pem")
    handed_out(METHOD, tuple("0123456789"), 16, 5)[0].write(root / "given")
    release(asked(root), RUN)
    return root


def asked(root: Path, out: str = "out", **more: Any) -> Release:
    given = {"method": replace(METHOD, bundles=(str(root / "given"),))}
    given |= {"key": root / "key.pem", "policy": root / "policy.txt", "test": root / "test"}
    return Release(root / "photos", root / out, "uge:blind", **given | more)


@pytest.fixture
def house(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "house"))


def report(root: Path, out: str = "out") -> dict[str, Any]:
    found = json.loads((root / out / "public" / "report.json").read_text())
    assert isinstance(found, dict)
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def halves(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(out).items() if not name.startswith(".unlearnable")}


@pytest.mark.parametrize(("eps", "said"), [(0.0, "nothing is changed at eps 0"), (1e-4, "changes no pixel")])
def test_a_release_that_changes_nothing_is_none(house: Path, eps: float, said: str) -> None:
    unseen = replace(METHOD, bundles=(str(house / "given"),), budget=Budget("linf", eps))
    with pytest.raises(ValueError, match=said):
        release(asked(house, "none", method=unseen), RUN)
    assert not (house / "none").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_report_that_was_spoilt_is_named(house: Path, text: str) -> None:
    release(asked(house), RUN)
    (house / "out" / "public" / "report.json").write_text(text)
    with pytest.raises(ValueError, match=r"report\.json|is not what was released"):
        release(asked(house), RUN)


def test_a_release_says_what_was_done_and_to_what(house: Path) -> None:
    found = report(house)
    assert (found["pictures"], found["copied"], found["failed"], found["eps"]) == (30, 1, 0, "0.04")
    assert found["classes"] == dict.fromkeys("0123456789", 3)
    assert 0 < found["max_abs_delta"] <= 10
    assert found["psnr_lowest"] <= found["psnr_mean"]
    measured = found["measured"]
    assert measured["margin"] == pytest.approx(measured["authorised"][0] - measured["outsider"], abs=1e-9)
    assert {"few-seeds", "few-test-images"} <= set(measured["flags"])
    assert sorted(path.name for path in (house / "out").iterdir()) == [".unlearnable", "authorised", "public"]
    assert sorted(path.name for path in (house / "out" / "public").iterdir()) == ["card.md", "pictures", "report.json"]
    assert len(tree(house / "out" / "public" / "pictures")) == 31
    checked = job.verify(house / "photos", house / "out" / "public" / "pictures")
    assert checked.bad == checked.unchanged, "so small a generator leaves some as they were"


def test_the_bundle_of_the_other_half_is_signed_for_these_pictures(house: Path) -> None:
    bundle, pictures = house / "out" / "authorised" / "bundle-0", house / "out" / "public" / "pictures"
    found = authorisation.verify(bundle, pictures, house / "key.pub")
    assert (found.problems, found.trusted, found.pictures) == ((), True, 30)
    done = authorisation.train(bundle, pictures, house / "trained", RUN, house / "test", house / "key.pub")
    assert done.outcome == "exactly"
    assert [round(done.accuracy or 0.0, 4)] == report(house)["measured"]["authorised"]


def test_nothing_that_authorises_lies_in_the_public_half(house: Path) -> None:
    """No tensor of theta_0, no file of the bundle, not the seed it is drawn from, no folder of this machine."""
    shutil.rmtree(house / "out")
    release(asked(house, method=replace(METHOD, bundles=())), RUN)
    bundle = house / "out" / "authorised" / "bundle-0"
    weights = load_file(bundle / "initial.safetensors")
    secret = [tensor.numpy().tobytes() for tensor in weights.values() if tensor.numel() >= 8]
    secret += [path.read_bytes() for path in bundle.iterdir() if path.name != "policy.txt"]
    seed = json.loads((bundle / "bundle.json").read_text())["seed"]
    assert seed > 2**32
    secret += [str(seed).encode(), str(house).encode(), (house / "key.pem").read_bytes().splitlines()[1]]
    public = tree(house / "out" / "public")
    assert not [name for name, data in public.items() for part in secret if part in data]
    assert not [name for name in public if ".unlearnable" in name or "safetensors" in name]


def test_two_releases_hand_out_two_networks(house: Path) -> None:
    seeds = set()
    for out in ("a", "b"):
        release(asked(house, out, method=replace(METHOD, bundles=()), key=None, test=None), RUN)
        seeds.add((house / out / "authorised" / "bundle-0" / "bundle.json").read_bytes())
    assert len(seeds) == 2


def stopped(root: Path, after: int) -> bool:
    """Whether it could be stopped when it asked for the time after so many."""
    steps = count()
    try:
        release(asked(root, "again"), replace(RUN, cancelled=lambda: next(steps) >= after))
    except Cancelled:
        assert not (root / "again" / "public").exists()
        return True
    return False


def test_stopped_anywhere_it_comes_to_the_same_bytes(house: Path) -> None:
    """It asks once for each of the 31 files when it reads, protects and verifies them, of those that are done once when
    it goes on, and once for each epoch.
    """
    work, after = house / "again" / ".unlearnable", 31
    assert all(stopped(house, after) for after in (17, 30, 33, 9))
    while not (work / "job").exists():
        assert stopped(house, after), "it came to its end before it was stopped in its last steps"
        after += 8
    assert stopped(house, 1)
    assert not stopped(house, 1000)
    assert halves(house / "again") == halves(house / "out")


def unpublish(root: Path, *halves: str) -> None:
    for half in halves:
        os.rename(root / "out" / half, root / "out" / ".unlearnable" / half)


@pytest.mark.parametrize("back", [("public",), ("public", "authorised")])
def test_killed_between_its_last_steps_it_loses_nothing(house: Path, back: tuple[str, ...]) -> None:
    before = halves(house / "out")
    unpublish(house, *back)
    (house / "out" / ".unlearnable" / "public" / "card.md").unlink()
    release(asked(house), RUN)
    assert halves(house / "out") == before


def test_killed_while_signing_or_drawing_it_begins_that_step_anew(house: Path) -> None:
    before = halves(house / "out")
    unpublish(house, "public", "authorised")
    (house / "out" / ".unlearnable" / "authorised" / "bundle-0" / "signature.json").unlink()
    (house / "out" / ".unlearnable" / "drawing" / "bundle-0").mkdir(parents=True)
    release(asked(house), RUN)
    assert halves(house / "out") == before


def test_done_it_says_the_same_again_and_touches_nothing(house: Path) -> None:
    before = tree(house / "out")
    again = release(asked(house), RUN)
    assert (again.report, again.failures) == (report(house), ())
    assert tree(house / "out") == before
    next((house / "out" / "public" / "pictures" / "3").iterdir()).write_bytes(b"other")
    with pytest.raises(ValueError, match="is not what was released"):
        release(asked(house), RUN)


def test_a_release_whose_public_half_was_moved_away_is_left_as_it_is(house: Path) -> None:
    (house / "out" / "public").rename(house / "moved")
    before = tree(house / "out")
    with pytest.raises(ValueError, match="was released and moved away: put it back, or name a new OUT"):
        release(asked(house), RUN)
    assert tree(house / "out") == before


def test_what_authorises_is_its_owners_alone(house: Path) -> None:
    out = house / "out"
    private = [out / ".unlearnable", out / "authorised", out / "authorised" / "bundle-0"]
    assert [path.stat().st_mode & 0o077 for path in private] == [0, 0, 0]
    assert (out / "public").stat().st_mode & 0o500 == 0o500


def test_what_was_begun_otherwise_is_refused(house: Path) -> None:
    for name, more in (("policy", {"policy": None}), ("key", {"key": None}), ("size", {"size": 8})):
        with pytest.raises(ValueError, match=rf"begun with another .*{name}|for images of 16 pixels"):
            release(asked(house, **more), RUN)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["notes.txt", "public/notes.txt"])
def test_a_folder_that_holds_something_else_is_refused(house: Path, name: str) -> None:
    for out in ("out", "fresh"):
        path = house / out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        before = tree(house / out)
        with pytest.raises(ValueError, match=r"holds something already|no part of a release"):
            release(asked(house, out), RUN)
        assert tree(house / out) == before


def test_what_must_not_be_published_must_not_lie_among_the_pictures(house: Path) -> None:
    shutil.copy(house / "key.pem", house / "photos" / "key.pem")
    shutil.copytree(house / "given", house / "photos" / "given")
    bundled = replace(METHOD, bundles=(str(house / "photos" / "given"),))
    for more, said in (
        ({"key": house / "photos" / "key.pem"}, "KEY .* lies in SRC"), ({"method": bundled}, "BUNDLE .* lies in SRC"),
        ({"out": "photos/out"}, "OUT .* lies in SRC"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            release(asked(house, **{"out": "new"} | more), RUN)
        assert not (house / "new").exists()
    with pytest.raises(ValueError, match=r"in SRC is a bundle's or the key: move it out"):
        release(asked(house, "new"), RUN)
    assert not (house / "new" / "public").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "photos" / "3" / "x.png").write_bytes(b"no"), "cannot be decoded"),
        (lambda root: (root / "test" / "3").rename(root / "test" / "three"), "TEST has other classes"),
        (lambda root: (root / "policy.txt").write_bytes(b"\xff"), "no text file in UTF-8"),
        (lambda root: (root / "key.pem").write_text("no"), "no Ed25519 private key"),
        (lambda root: shutil.copy(root / "photos" / "3" / "x", root / "photos" / "x.png"), "lies in none"),
        (lambda root: (root / "given" / "bundle.json").write_text("{}"), "given: format must be"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(house: Path, spoil: Any, said: str) -> None:
    shutil.copy(next((house / "photos" / "3").glob("*.png")), house / "photos" / "3" / "x")
    spoil(house)
    (house / "photos" / "3" / "x").unlink()
    with pytest.raises(ValueError, match=said):
        release(asked(house, "new"), RUN)
    assert not (house / "new").exists()


def commands(text: str) -> Iterator[str]:
    """The shell blocks of the card."""
    for part in text.split("```sh\n")[1:]:
        yield part.partition("```")[0]


@pytest.mark.skipif(not shutil.which("openssl"), reason="the card's commands need openssl")
def test_the_commands_of_the_card_verify_it(house: Path) -> None:
    public = house / "out" / "public"
    strange = public / "pictures" / "a\\b\nc.txt"
    text = (public / "card.md").read_text()
    said = [
        subprocess.run(["sh", "-ec", block], cwd=public, capture_output=True, text=True, check=True).stdout
        for block in commands(text)
    ]
    assert said[0].split()[0] == report(house)["pictures_sha256"]
    assert len(said[0].splitlines()) == 1
    digest, policy, *text_of_it, verdict = said[1].splitlines()
    assert digest.split()[0] == report(house)["signed"]["key"]
    assert policy.split()[0] == published.policy_digest((house / "policy.txt").read_text())
    assert text_of_it == (house / "policy.txt").read_text().splitlines()
    assert "Verified Successfully" in verdict
    strange.write_text("escaped as sha256sum does")
    block = next(commands(text))
    again = subprocess.run(["sh", "-ec", block], cwd=public, capture_output=True, text=True, check=True).stdout
    assert again.split()[0] == published.fingerprint(published.sums(public / "pictures"))
    (public / "pictures" / "3" / "more.png").symlink_to(house / "key.pem")
    again = subprocess.run(["sh", "-ec", block], cwd=public, capture_output=True, text=True, check=True).stdout
    assert again.splitlines()[1:] == ["pictures/3/more.png"]
    with pytest.raises(ValueError, match=r"more\.png is neither a file nor a folder"):
        published.sums(public / "pictures")


def test_the_card_promises_nothing_that_cannot_be_kept(house: Path) -> None:
    text = (house / "out" / "public" / "card.md").read_text()
    assert "raises the cost of\ntraining" in text
    assert "    # No heading\n" in text
    assert not [word for word in ("irreversib", "undetect", "protects from", "guarantee") if word in text.lower()]
    assert hashlib.sha256(base64.b64decode(report(house)["signed"]["public_key"].splitlines()[1])).hexdigest() in text


def test_a_card_says_where_its_figures_show_nothing(house: Path) -> None:
    found = report(house)
    clear = found["measured"] | {"margin": 0.4, "flags": []}
    assert separates(clear)
    assert "What to doubt" not in card(found | {"measured": clear})
    for worse in ({"margin": 0.04}, {"flags": ["no-effect"]}):
        assert not separates(clear | worse)
        assert "do not show that the change hinders anybody" in card(found | {"measured": clear | worse})


def test_from_the_command_line_without_a_key_it_is_unsigned(command: Command, house: Path) -> None:
    os.chdir(house)
    words = ("authorise", "release", "photos", "new", *FLAGS)
    ended = command(*words, "--json")
    assert ended.code == 0
    said = ended.json
    assert (said["pictures"], said["classes"], said["method"], said["eps"]) == (30, 10, "uge:blind", "0.04")
    assert (said["key"], said["margin"], said["authorised"]) == (None, None, None)
    same = f"{said['unchanged']} pictures are as they were in every pixel: keep them back, or take a larger --eps; "
    copied = "1 other files were copied as they are: look at them before you publish; "
    found = "whoever looks for the colour of the change finds it in the pictures, and learns as from clean ones\n"
    assert ended.err == (same if said["unchanged"] else "") + copied + found
    assert report(house, "new")["signed"] is None
    assert "This release is **unsigned**" in (house / "new" / "public" / "card.md").read_text()
    names = sorted(path.name for path in (house / "new" / "authorised" / "bundle-0").iterdir())
    assert names == ["bundle.json", "initial.safetensors"]
    said_again = command(*words)
    assert (said_again.code, "unsigned: --key KEY.pem signs" in said_again.out) == (0, True)
    assert "publish new/public; send new/authorised" in said_again.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos"], "OUT missing"),
        (["photos", "new", "--method", "em"], "--method must be uge or uge:preset"),
        (["photos", "new", "--method", "uge:blnd"], "preset of uge must be one of"),
        (["photos", "new", "--eps", "9"], "eps"),
        (["photos", "new", "--lr", "x"], "--lr must be a number"),
        (["nowhere", "new"], "'nowhere' is neither a file nor a folder"),
        (["photos", "new", "--model", "lenet"], "cannot be made blind"),
        (["photos", "new", "--bundles", '["nowhere"]'], "BUNDLE 'nowhere' is no folder"),
        (["photos", "photos"], "OUT 'photos' lies in SRC"),
        (["photos", "new", "--size=-5"], "--size must be 1 to 1024, got -5"),
        (["photos", "new", "--size=0"], "--size must be 1 to 1024, got 0"),
        (["photos", "new", "--size=5000000"], "--size must be 1 to 1024, got 5000000"),
        (["photos", "new", "--test", "photos"], "TEST 'photos' holds the very pictures of SRC"),
        (["photos", "new", "--bundles", '["b"]', "--model", "cnn"], "--model is of networks to be drawn"),
        (["photos", "new", "--bundles", '["b"]', "--networks", "2"], "--networks is of networks to be drawn"),
        (["https://me:word@a.b/c", "new"], "SRC 'https://a.b/c' is an address: fetch it first"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(command: Command, photos: Path, words: list[str], said: str) -> None:
    assert said in refused(command("authorise", "release", *words, "--quiet"))
    assert not Path("new", "public").exists()
