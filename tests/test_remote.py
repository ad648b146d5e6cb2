"""Addresses in place of paths: the same bytes as with paths, nothing half put, nothing left on this machine."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, picture, refused
from jobs import tree
from sources import write_tar

from unlearnable import job
from unlearnable.addresses import shown
from unlearnable.job import remote, remote_stores
from unlearnable.run import Run

BOX = "memory://alice:S3CRET@box"
OPTIONS = ("--method", "lsp", "--json", "--device", "cpu")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """fsspec's file system in memory, with six pictures at /src; and a cache folder of our own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    system = importlib.import_module("fsspec").filesystem("memory")
    for number in range(4):
        picture(tmp_path / "src" / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    (tmp_path / "src/notes.txt").write_text("mine")
    system.put(str(tmp_path / "src") + "/", "/src/", recursive=True)
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def fetched(system: Any, root: str, to: Path) -> dict[str, str]:
    for there in system.find(root):
        here = to / there.removeprefix(root).lstrip("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_bytes(system.cat(there))
    return tree(to)


def test_a_remote_folder_comes_back_with_the_bytes_of_a_local_one(
    tmp_path: Path, memory: Any, command: Command
) -> None:
    done = command("protect", "memory://src", "memory://dst", *OPTIONS)
    assert (done.code, done.json["protected"], done.json["copied"]) == (0, 4, 1)
    command("protect", tmp_path / "src", tmp_path / "dst", *OPTIONS)
    assert fetched(memory, "/dst", tmp_path / "found") == tree(tmp_path / "dst")
    assert memory.exists("/dst/.unlearnable/manifest.sqlite")
    assert not memory.exists("/dst/.unlearnable/perturbation"), "it would take the protection off"
    checked = command("verify", "memory://src", "memory://dst", "--json")
    assert (checked.code, checked.json["checked"], checked.json["bad"]) == (0, 4, 0)
    assert not list((tmp_path / "cache/unlearnable").iterdir())
    assert "is not empty" in refused(command("protect", "memory://src", "memory://dst", *OPTIONS))
    assert command("protect", "memory://src", "memory://dst", *OPTIONS, "--overwrite").code == 0
    assert command("protect", "memory://src", tmp_path / "here", *OPTIONS).code == 0
    assert tree(tmp_path / "here") == tree(tmp_path / "dst")


def test_a_remote_archive_and_a_pattern(tmp_path: Path, memory: Any, command: Command) -> None:
    for shard in range(2):
        data = [(f"{n}.png", (tmp_path / f"src/{'cat' if n % 2 else 'dog'}/{n}.png").read_bytes()) for n in range(4)]
        write_tar(tmp_path / f"s-{shard}.tar", data[2 * shard : 2 * shard + 2])
        memory.put(str(tmp_path / f"s-{shard}.tar"), f"/shards/s-{shard}.tar")
    assert command("protect", "memory://shards/s-0.tar", "memory://one.tar", *OPTIONS).json["protected"] == 2
    assert memory.exists("/one.tar.partial/.unlearnable/manifest.sqlite")
    checked = command("verify", "memory://shards/s-0.tar", "memory://one.tar", "--json")
    assert (checked.code, checked.json["checked"]) == (0, 2)
    assert command("protect", "memory://shards/s-{0..1}.tar", "memory://all", *OPTIONS).json["protected"] == 4
    assert {name for name in memory.find("/all") if name.endswith(".tar")} == {"/all/s-0.tar", "/all/s-1.tar"}


def test_a_manifest_that_cannot_be_fetched_is_not_taken_for_none(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "s.tar", [("0.png", (tmp_path / "src/dog/0.png").read_bytes())])
    memory.put(str(tmp_path / "s.tar"), "/s.tar")
    assert command("protect", "memory://s.tar", "memory://dst.tar", *OPTIONS, "--eps", "2/255").code == 0
    words = ("verify", "memory://s.tar", "memory://dst.tar", "--json")
    assert command(*words).json["eps"] == "2/255"
    get = remote._get

    def broken(system: Any, many: list[tuple[str, Path]]) -> None:
        if any(".partial" in there for there, _ in many):
            raise TimeoutError("no answer")
        get(system, many)

    monkeypatch.setattr(remote, "_get", broken)
    assert "cannot be read: TimeoutError no answer" in refused(command(*words))


def test_what_cannot_be_reached_is_said_in_one_line_and_leaves_nothing(
    tmp_path: Path, memory: Any, command: Command
) -> None:
    assert "is not there" in refused(command("protect", "memory://nowhere", tmp_path / "dst", *OPTIONS))
    assert "Protocol not known" in refused(command("protect", "gopher://x/y", tmp_path / "dst", *OPTIONS))
    memory.pipe("/mine/diary.txt", b"dear")
    said = refused(command("protect", "memory://src", "memory://mine", *OPTIONS, "--overwrite"))
    assert "'/mine/diary.txt', which is of no use here" in said
    assert memory.find("/mine") == ["/mine/diary.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "src"]


def begun(command: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a job says that is stopped while it delivers."""

    def broken(*_: object) -> None:
        raise OSError("connection reset")

    with monkeypatch.context() as patch:
        patch.setattr(remote, "_put", broken)
        return refused(command("protect", "memory://src", "memory://dst", *OPTIONS))


def test_an_upload_that_breaks_is_put_again_with_resume(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = begun(command, monkeypatch)
    assert "'memory://dst' cannot be written: OSError connection reset" in said
    assert "--resume goes on" in refused(command("protect", "memory://src", "memory://dst", *OPTIONS))
    done = command("protect", "memory://src", "memory://dst", *OPTIONS, "--resume")
    assert (done.code, done.json["protected"], done.json["images_per_second"]) == (0, 4, 0)
    assert not list((tmp_path / "cache/unlearnable").iterdir())


@pytest.mark.parametrize("flag", ["--resume", "--overwrite", ""])
def test_a_dry_run_leaves_a_job_that_was_begun_as_it_is(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    begun(command, monkeypatch)
    before = tree(tmp_path / "cache")
    ended = command("protect", "memory://src", "memory://dst", *OPTIONS, "--dry-run", *filter(None, [flag]))
    assert ended.code == (0 if flag else 2), ended
    assert tree(tmp_path / "cache") == before
    done = command("protect", "memory://src", "memory://dst", *OPTIONS, "--resume")
    assert (done.code, done.json["images_per_second"]) == (0, 0), "all of it was done before"


@pytest.mark.parametrize("flag", ["--resume", "--overwrite", ""])
def test_a_second_process_leaves_what_the_first_has_fetched(
    tmp_path: Path, memory: Any, command: Command, run: Run, flag: str
) -> None:
    words = ["protect", "memory://src", "memory://dst", *OPTIONS, *filter(None, [flag])]
    with remote.places("memory://src", "memory://dst", False, False) as (source, _):
        source.fetch(run)
        said = refused(command(*words))
        assert "another process is at 'memory://dst'" in said
        assert tree(source.path) == tree(tmp_path / "src")
        assert command(*words, "--dry-run").code == (2 if flag == "--resume" else 0), "it has a folder of its own"
    assert not list((tmp_path / "cache/unlearnable").iterdir())
    assert command("protect", "memory://src", "memory://dst", *OPTIONS).code == 0


def test_a_dry_run_that_is_stopped_leaves_nothing(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "dry_run", interrupted)
    assert command("protect", "memory://src", "memory://dst", *OPTIONS, "--dry-run").code == 130
    assert not list((tmp_path / "cache/unlearnable").iterdir())


def test_a_dry_run_puts_nothing(tmp_path: Path, memory: Any, command: Command) -> None:
    assert command("protect", "memory://src", "memory://dst", *OPTIONS, "--dry-run").json["protected"] == 4
    assert not memory.exists("/dst")
    assert not list((tmp_path / "cache/unlearnable").iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("'ftp://alice:S3CRET@host:21/photos' cannot be read", "'ftp://host:21/photos' cannot be read"),
        ("https://host/a.tar?X-Signature=S3CRET: 403", "https://host/a.tar 403"),
        ("https://S3CRET@host?key=S3CRET", "https://host"),
        ("no SRC 'ftp:/alice:S3@CRET@host/photos'", "no SRC 'ftp:/host/photos'"),
        ("s3://bucket/a@2x.png?", "s3://bucket/a@2x.png"),
        ("photos/a@2x.png of C:/mine@home? eps 8/255", "photos/a@2x.png of C:/mine@home? eps 8/255"),
    ],
)
def test_what_opens_a_place_is_not_said(text: str, said: str) -> None:
    assert shown(text) == said


def test_a_password_in_an_address_goes_nowhere(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.put(str(tmp_path / "src") + "/", "/alice:S3CRET@box/src/", recursive=True)
    words = ["protect", f"{BOX}/src", f"{BOX}/dst", *OPTIONS[:2], "--card"]
    monkeypatch.setattr("sys.argv", ["unlearnable", *words])
    with monkeypatch.context() as patch:
        patch.setattr(remote, "_put", lambda *_: 1 / 0)
        ended = [command(*words, "--track", f"tensorboard:{tmp_path / 'runs'}")]
    ended += [
        command(*words),
        command(*words, "--resume"),
        command(*words),
        command("verify", f"{BOX}/no", f"{BOX}/dst"),
    ]
    assert [end.code for end in ended] == [2, 2, 0, 2, 2]
    assert "unlearnable verify memory://box/src memory://box/dst" in ended[2].out
    ended += [command("fit", "lsp", f"{BOX}/src", "out"), command("protect", "a", "b", f"{BOX}/src")]
    for place in ("ftp://alice:S3CRET@127.0.0.1:1/photos", "gopher://alice:S3CRET@host?S3CRET"):
        ended.append(command("protect", place, "here"))
    fetched(memory, "/alice:S3CRET@box/dst", tmp_path / "found")
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(kept) > 10
    assert any("tfevents" in path.name for path in kept)
    assert [path for path, data in kept.items() if b"S3CRET" in data or "S3CRET" in str(path)] == []
    assert [end for end in ended if "S3CRET" in end.out + end.err] == []


def test_an_address_without_a_path_is_kept_under_its_host_alone(tmp_path: Path, memory: Any) -> None:
    place = "memory://alice:S3CRET@box?S3CRET"
    with remote.places(place, str(tmp_path / "dst"), resume=False, overwrite=False) as (source, _):
        assert source.path.name == "box"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--eps", "9/x"], "eps must be a fraction"),
        (["--eps", "1/510"], "changes no pixel"),
        (["--method", "nonsense"], "nonsense"),
        (["--resume", "--overwrite"], "choose one of them"),
        (["--lend"], "--lend gives pictures"),
    ],
)
def test_a_typing_mistake_is_found_before_anything_is_fetched(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setattr(remote, "_get", lambda *_: 1 / 0)
    assert said in refused(command("protect", "memory://src", tmp_path / "dst", *OPTIONS, *words))
    assert not list((tmp_path / "cache/unlearnable").iterdir())


def test_a_job_that_was_another_is_refused_before_anything_is_fetched(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("protect", "memory://src", tmp_path / "dst", *OPTIONS).code == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    monkeypatch.setattr(remote, "_get", lambda *_: 1 / 0)
    for place, words, said in [
        ("dst", ["--resume", "--eps", "4/255"], "eps was 8/255, is now 4/255"), ("dst", [], "holds a job already"),
        ("dst", ["--resume", "--method", "random"], "name was lsp, is now random"), ("full", [], "is not empty"),
    ]:  # fmt: skip
        assert said in refused(command("protect", "memory://src", tmp_path / place, *OPTIONS, *words))
    begun(command, monkeypatch)


def test_what_was_fetched_is_kept_and_what_changed_is_fetched_again(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same size, other bytes; and a file that is not there any more is not protected with the rest."""
    words = ["protect", "memory://src", tmp_path / "dst", "--json", "--device", "cpu", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(job, "protect", lambda *_: (_ for _ in ()).throw(ValueError("on purpose")))
        with pytest.raises(ValueError, match="on purpose"):
            command(*words, "--method", "lsp")
    (kept,) = (tmp_path / "cache/unlearnable").iterdir()
    assert tree(kept / "from/src") == tree(tmp_path / "src")
    data = memory.cat("/src/notes.txt")
    memory.pipe("/src/notes.txt", data[::-1])
    memory.rm("/src/cat/3.png")
    fetched_now: list[str] = []
    real = remote._get

    def get(system: Any, files: list[tuple[str, Path]]) -> None:
        fetched_now.extend(there for there, _ in files)
        real(system, files)

    monkeypatch.setattr(remote, "_get", get)
    done = command(*words, "--method", "lsp")
    assert (done.code, done.json["protected"], fetched_now) == (0, 3, ["/src/notes.txt"])
    assert (tmp_path / "dst/notes.txt").read_bytes() == data[::-1]
    assert not (tmp_path / "dst/cat/3.png").exists()
    assert not list((tmp_path / "cache/unlearnable").iterdir())


def test_a_store_without_stamps_or_sizes(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Sizes alone are believed of a job that is resumed; where there is no size there is a line that says so."""
    monkeypatch.setattr(remote_stores, "_STAMPS", ())
    fetched_now: list[int] = []
    real = remote._get
    monkeypatch.setattr(remote, "_get", lambda system, files: (fetched_now.append(len(files)), real(system, files)))
    for goes_on in (False, False, True):
        remote.Place("memory://src", tmp_path / "work/from/src", goes_on).fetch(run)
    assert fetched_now == [5, 5]
    monkeypatch.setattr(type(memory), "find", lambda self, root, detail: {"/src/a.zip": {"size": None}})
    monkeypatch.setattr(type(memory), "info", lambda self, path: {"size": None})
    with pytest.raises(ValueError, match=r"'/src/a.zip' cannot be fetched, its server does not say how large it is"):
        remote.Place("memory://src", tmp_path / "other/from/src").fetch(run)


@pytest.mark.parametrize(
    ("source", "destination"),
    [("memory://src", "memory://src/"), ("memory://src", "memory://src/out"), ("memory://src/cat", "memory://src"),
     ("{here}/src", "file://{here}/src"),
     ("file://{here}/src/cat", "{here}/src"), ("file://{here}/link", "{here}/src")],
)  # fmt: skip
@pytest.mark.parametrize("flags", [(), ("--overwrite",), ("--resume",), ("--dry-run",)])
def test_originals_are_never_written_to_whatever_their_place_is_called(
    tmp_path: Path, memory: Any, command: Command, source: str, destination: str, flags: tuple[str, ...]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "src")
    ends = [text.format(here=tmp_path) for text in (source, destination)]
    before = tree(tmp_path / "src"), {name: memory.cat(name) for name in memory.find("/")}
    said = refused(command("protect", *ends, *OPTIONS, *flags))
    assert "is SRC" in said
    assert "which is never written to" in said
    assert (tree(tmp_path / "src"), {name: memory.cat(name) for name in memory.find("/")}) == before


def test_places_beside_each_other_are_two(memory: Any) -> None:
    assert not remote_stores.overlap("memory://src", "memory://src2")
    assert not remote_stores.overlap("memory://src", "file:///src")
    assert remote_stores.overlap("memory://src/a.png", "memory://src")


def test_resume_is_no_leave_to_overwrite_what_others_put_there(memory: Any, command: Command) -> None:
    memory.pipe("/dst/cat/1.png", b"somebody else's")
    said = refused(command("protect", "memory://src", "memory://dst", *OPTIONS, "--resume"))
    assert "no job that can be resumed was begun here" in said
    assert memory.cat("/dst/cat/1.png") == b"somebody else's"


def test_empty_objects_in_place_of_folders_are_no_files(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As s3fs and gcsfs list a bucket whose folders were made in a console."""
    listed = memory.find

    def find(root: str, **how: Any) -> Any:
        markers = {f"{root}/": {"size": 0, "type": "file"}, f"{root}/cat/": {"size": 0, "type": "directory"}}
        return listed(root, **how) | (markers if root == "/src" else {})

    monkeypatch.setattr(memory, "find", find)
    done = command("protect", "memory://src", tmp_path / "dst", *OPTIONS)
    assert (done.code, done.json["protected"], done.json["copied"]) == (0, 4, 1)


def test_a_remote_collection_is_verified_alone_and_reported_on_once_it_is_here(memory: Any, command: Command) -> None:
    assert command("protect", "memory://src", "memory://dst", *OPTIONS).code == 0
    checked = command("verify", "memory://dst", "--json")
    assert (checked.code, checked.json["checked"], checked.json["bad"]) == (0, 4, 0)
    memory.pipe("/dst/cat/1.png", b"altered")
    assert command("verify", "memory://dst", "--json").json["bad"] == 1
    said = refused(command("report", "memory://src", "memory://dst"))
    assert "report reads places of this machine, not 'memory://src': fetch it and name that" in said


def test_networks_are_not_drawn_where_their_bundles_would_be_lost(memory: Any, command: Command) -> None:
    said = refused(command("protect", "memory://src", "memory://dst", "--method", "uge:blind-quick"))
    assert "bundles must stay with you: fit it to a folder" in said
    assert not memory.exists("/dst")


def test_while_files_are_replaced_no_manifest_says_what_they_are(
    memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("protect", "memory://src", "memory://dst", *OPTIONS).code == 0
    put, there = remote._put, []

    def watched(system: Any, many: list[tuple[Path, str]]) -> None:
        there.append(memory.exists("/dst/.unlearnable/manifest.sqlite"))
        put(system, many)

    monkeypatch.setattr(remote, "_put", watched)
    assert command("protect", "memory://src", "memory://dst", *OPTIONS, "--overwrite").code == 0
    assert there == [False]
    assert memory.exists("/dst/.unlearnable/manifest.sqlite")


def test_what_did_not_arrive_whole_is_found_and_put_again(
    memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = remote._put

    def short(system: Any, files: list[tuple[Path, str]]) -> None:
        put(system, files)
        for here, there in files:
            system.pipe(there, here.read_bytes()[:-3])

    words = ("protect", "memory://src", "memory://dst", *OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(remote, "_put", short)
        assert "did not arrive whole: --resume puts it again" in refused(command(*words))
    assert command(*words, "--resume").code == 0
    assert command("verify", "memory://src", "memory://dst", "--json").json["bad"] == 0


def test_outputs_that_are_not_as_they_should_be_are_not_put(
    tmp_path: Path, memory: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect = job.protect

    def altered(asked: job.Job, *others: Any) -> job.Summary:
        done = protect(asked, *others)
        next(Path(asked.destination).rglob("*.png")).write_bytes((tmp_path / "src/dog/0.png").read_bytes())
        return done

    monkeypatch.setattr(job, "protect", altered)
    said = refused(command("protect", "memory://src", "memory://dst", *OPTIONS))
    assert "1 outputs are not as they should be: nothing was put" in said
    assert not memory.exists("/dst")
