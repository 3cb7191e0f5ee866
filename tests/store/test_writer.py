"""Writing a folder of features: nothing is lost, doubled or mixed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirfeat.errors import ProvenanceError, StoreError, StoreLockedError
from mirfeat.results.outcomes import Failure
from mirfeat.store import clip_files, in_hand
from mirfeat.store import writer as writing
from mirfeat.store.formats import FORMATS, Format, Row
from mirfeat.store.in_hand import left_in_hand
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo, read_failures
from mirfeat.store.writer import StoreWriter
from tests.conftest import REPOSITORY
from tests.support.stores import NAMES, PROVENANCE, info, row

FAILED = Failure("f.wav", "DecodeError", "f.wav: damaged")


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> Format:
    kind: Format = request.param
    return kind


def open_store(
    folder: Path, record: StoreInfo, *, resume: bool = True, overwrite: bool = False
) -> StoreWriter:
    return StoreWriter(folder, record, resume=resume, overwrite=overwrite)


def write(folder: Path, record: StoreInfo, *rows: Row, overwrite: bool = False) -> None:
    with open_store(folder, record, overwrite=overwrite) as store:
        for item in rows:
            store.add(item)


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def made_from(item: Row) -> tuple[str, int, int]:
    return item.id, item.size, item.mtime_ns


def assert_table(folder: Path, *rows: Row) -> None:
    table = load_features(folder)
    assert sorted(table.ids) == sorted(r.id for r in rows)
    expected = np.array([r.vector for r in rows]).reshape(-1, len(NAMES))
    np.testing.assert_array_equal(table.aligned([r.id for r in rows]), expected)


def test_after_a_clean_end_there_is_what_the_format_promises(
    tmp_path: Path, format: Format
) -> None:
    rows = [row("a.wav"), row("sub/b.wav", number=8)]
    write(tmp_path / "feats", info(format), *rows)
    data = {
        "csv": {"features.csv"},
        "parquet": {"rows/part-000001.parquet"},
        "npz": {"index.csv", "a.wav.npz", "sub/b.wav.npz"},
        "npy": {"index.csv", "a.wav.npy", "sub/b.wav.npy"},
    }[format]
    assert files(tmp_path / "feats") == {"store.json", "failures.csv", *data}
    assert_table(tmp_path / "feats", *rows)


def test_rows_are_safe_part_by_part(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_ROWS", 2)
    rows = [row(f"{n}.wav", number=n) for n in range(5)]
    with open_store(tmp_path, info(format)) as store:
        for count, item in enumerate(rows, 1):
            store.add(item)
            assert_table(tmp_path, *rows[: count - count % 2])
    assert_table(tmp_path, *rows)


def test_a_part_is_closed_after_a_while_even_if_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(writing.time, "monotonic", lambda: now)
    with open_store(tmp_path, info()) as store:
        store.add(row("a.wav"))
        now = writing.MOST_SECONDS - 1
        store.add(row("b.wav"))
        assert len(load_features(tmp_path)) == 0
        now = writing.MOST_SECONDS + 1
        store.add(row("c.wav"))
        assert len(load_features(tmp_path)) == 3


def test_only_the_very_same_file_is_done(tmp_path: Path, format: Format) -> None:
    write(tmp_path, info(format), row("a.wav"), row("b.wav"))
    with open_store(tmp_path, info(format)) as store:
        id, size, mtime_ns = made_from(row("a.wav"))
        assert store.has(id, size, mtime_ns)
        assert not store.has(id, size + 1, mtime_ns)
        assert not store.has(id, size, mtime_ns + 1)
        assert not store.has("c.wav", size, mtime_ns)


def test_a_clip_made_anew_is_there_once(tmp_path: Path, format: Format) -> None:
    write(tmp_path, info(format), row("a.wav"), row("b.wav"))
    write(tmp_path, info(format), row("a.wav", number=9), row("c.wav"))
    assert_table(tmp_path, row("a.wav", number=9), row("b.wav"), row("c.wav"))
    assert sorted(ids_in(tmp_path, format)) == ["a.wav", "b.wav", "c.wav"]


def ids_in(folder: Path, format: Format) -> list[str]:
    """Ids in all files of rows, whatever mirfeat makes of them."""
    ending = "parquet" if format == "parquet" else "csv"
    paths = [path for path in folder.rglob(f"*.{ending}") if path.stem != "failures"]
    return [id for path in paths for id, _ in info(format).row_files(folder).seen(path)]


def test_a_clip_that_fails_after_its_file_has_changed_loses_its_old_row(
    tmp_path: Path, format: Format
) -> None:
    write(tmp_path, info(format), row("f.wav"), row("b.wav"))
    with open_store(tmp_path, info(format)) as store:
        store.fail(FAILED)
        store.commit()
        # Before the end too.
        assert load_features(tmp_path).ids == ("b.wav",)
    assert_table(tmp_path, row("b.wav"))
    assert load_features(tmp_path).failures == (FAILED,)
    assert not list(tmp_path.glob("f.wav.*"))
    with open_store(tmp_path, info(format)) as store:
        assert not store.has(*made_from(row("f.wav")))


def test_the_old_row_of_a_failed_clip_goes_at_the_next_clean_end(
    tmp_path: Path, format: Format
) -> None:
    write(tmp_path, info(format), row("f.wav"), row("b.wav"))
    interrupted = open_store(tmp_path, info(format))
    interrupted.fail(FAILED)
    interrupted.close(tidy=False)
    write(tmp_path, info(format), row("c.wav"))
    assert sorted(ids_in(tmp_path, format)) == ["b.wav", "c.wav"]
    assert not list(tmp_path.glob("f.wav.*"))


def test_a_clip_that_works_at_last_is_no_failure_any_more(tmp_path: Path, format: Format) -> None:
    with open_store(tmp_path, info(format)) as store:
        store.fail(FAILED)
        store.fail(Failure("g.wav", "EmptyAudioError", "g.wav: no samples."))
    write(tmp_path, info(format), row("f.wav"))
    assert_table(tmp_path, row("f.wav"))
    assert [failure.id for failure in load_features(tmp_path).failures] == ["g.wav"]


def test_failures_of_earlier_runs_are_kept(tmp_path: Path) -> None:
    with open_store(tmp_path, info()) as store:
        store.fail(FAILED)
    write(tmp_path, info(), row("a.wav"))
    assert load_features(tmp_path).failures == (FAILED,)
    assert (tmp_path / "failures.csv").read_text() == (
        "id,error_type,error,size,mtime_ns\nf.wav,DecodeError,f.wav: damaged,-1,-1\n"
    )


def test_a_failure_of_any_text_costs_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path, info()) as store:
        store.add(row("a.wav"))
        store.fail(Failure("caf\\xe9.wav", "DecodeError", 'caf\udce9.wav: "\r\n", damaged'))
    assert_table(tmp_path, row("a.wav"))
    assert load_features(tmp_path).failures[0].id == "caf\\xe9.wav"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"provenance": replace(PROVENANCE, extractor="y")}, "extractor: 'y' here, 'x' there"),
        ({"provenance": replace(PROVENANCE, spec_version=2)}, "spec_version: 2 here, 1 there"),
        ({"provenance": replace(PROVENANCE, checkpoint_sha256="cd")}, "checkpoint_sha256: 'cd'"),
        (
            {"provenance": replace(PROVENANCE, options={**PROVENANCE.options, "layers": "1"})},
            "layers: '1' here, '12' there",
        ),
        ({"format": "npz"}, "format: 'npz' here, 'csv' there"),
    ],
)
def test_a_folder_made_in_another_way_is_refused_untouched(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    write(tmp_path, info(), row("a.wav"))
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with pytest.raises(ProvenanceError, match=said) as caught:
        open_store(tmp_path, replace(info(), **change))  # type: ignore[arg-type]
    assert "--overwrite" in str(caught.value)
    assert str(caught.value).count(" here, ") == 1
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_all_differences_are_listed(tmp_path: Path) -> None:
    write(tmp_path, info("npz", embed=True), row("a.wav"))
    other = replace(PROVENANCE, extractor="y", checkpoint_sha256=None)
    with pytest.raises(ProvenanceError) as caught:
        open_store(tmp_path, info("csv", provenance=other))
    for word in ("extractor", "checkpoint_sha256", "format", "embed"):
        assert word in str(caught.value)


def test_newer_versions_and_other_devices_go_on_and_are_recorded(tmp_path: Path) -> None:
    newer = replace(PROVENANCE, mirfeat_version="0.2.0", device="cuda")
    write(tmp_path, info(), row("a.wav"))
    write(tmp_path, info(provenance=newer))
    assert StoreInfo.read(tmp_path).provenance.device == "cpu"  # it has made nothing yet
    write(tmp_path, info(provenance=newer), row("b.wav"))
    write(tmp_path, info(provenance=newer), row("c.wav"))
    read = StoreInfo.read(tmp_path)
    assert read.provenance.to_dict() == newer.to_dict()
    assert [item.to_dict() for item in read.earlier] == [PROVENANCE.to_dict()]
    assert_table(tmp_path, row("a.wav"), row("b.wav"), row("c.wav"))


def test_overwriting_starts_anew_whatever_was_there(tmp_path: Path, format: Format) -> None:
    with open_store(tmp_path, info("npz")) as store:
        store.add(row("old.wav"))
        store.fail(FAILED)
    other = info(format, provenance=replace(PROVENANCE, extractor="y"))
    write(tmp_path, other, row("a.wav"), overwrite=True)
    assert_table(tmp_path, row("a.wav"))
    assert load_features(tmp_path).failures == ()
    assert not any(name.startswith("old.wav") for name in files(tmp_path))


def test_files_of_others_survive_overwriting(tmp_path: Path, format: Format) -> None:
    write(tmp_path, info(format), row("a.wav"))
    for name in ("labels.csv", "mine.npz", "notes.parquet"):
        (tmp_path / name).write_text("mine")
    write(tmp_path, info(format), row("b.wav"), overwrite=True)
    assert {"labels.csv", "mine.npz", "notes.parquet"} < files(tmp_path)


def test_without_resume_a_store_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path, info(), resume=False).close()
    with pytest.raises(StoreError, match="holds features already"):
        open_store(tmp_path, info(), resume=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_refused_untouched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".writing-else").touch()
    with pytest.raises(StoreError, match="not a folder of features"):
        open_store(tmp_path, info(), overwrite=overwrite)
    assert {path.name for path in tmp_path.rglob("*")} == {"thesis.tex", "sub", ".writing-else"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "feats").touch()
    with pytest.raises(StoreError, match="feats"):
        open_store(tmp_path / "feats", info())


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    with open_store(tmp_path, info()) as store:
        store.add(row("a.wav"))
        with pytest.raises(StoreLockedError, match="another process"):
            open_store(tmp_path, info(), overwrite=True)
    write(tmp_path, info(), row("b.wav"))
    assert_table(tmp_path, row("a.wav"), row("b.wav"))


def test_a_refused_folder_can_be_opened_by_others(tmp_path: Path) -> None:
    write(tmp_path, info(), row("a.wav"))
    with pytest.raises(ProvenanceError):
        open_store(tmp_path, info("npz"))
    write(tmp_path, info(), row("b.wav"))


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    write(tmp_path, info("npz"), row("sub/a.wav"))
    for leftover in (tmp_path / ".writing-1.csv", tmp_path / "sub" / ".writing-2.npz"):
        leftover.write_text("half")
    open_store(tmp_path, info("npz")).close()
    assert not any(".writing-" in name for name in files(tmp_path))


def test_a_run_killed_before_its_first_file_leaves_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".writing-1.json").write_text("half")
    write(tmp_path, info(), row("a.wav"))
    assert_table(tmp_path, row("a.wav"))


def test_a_run_whose_first_file_ended_a_worker_leaves_its_note_in_a_store(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = open_store(folder, info())
    (folder / f"{in_hand.NAME}-0").write_text('+"a"\n')
    store.__exit__(KeyError, KeyError(), None)
    assert left_in_hand(folder) == ("a",)
    write(folder, info(), row("b"))
    assert load_features(folder).ids == ("b",)


def test_an_interrupted_run_keeps_what_is_done_and_does_not_tidy(tmp_path: Path) -> None:
    store = open_store(tmp_path, info())
    store.add(row("a.wav"))
    store.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert files(tmp_path) == {"store.json", "failures.csv", "part-000001.csv"}
    assert_table(tmp_path, row("a.wav"))


def test_a_full_disk_ends_the_run_and_keeps_what_was_complete(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_ROWS", 2)
    first, more = [row("a.wav"), row("b.wav")], [row("c.wav"), row("d.wav")]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        store = open_store(tmp_path, info(format))
        for item in first:
            store.add(item)
        patch.setattr("mirfeat.files.os.fsync", full)
        store.add(more[0])
        with pytest.raises(StoreError, match="No space left on device"):
            store.add(more[1])
        with pytest.raises(StoreError, match="What was complete is safe"):
            store.close()
    assert_table(tmp_path, *first)
    assert not any(".writing-" in name for name in files(tmp_path))
    write(tmp_path, info(format), *more)
    assert_table(tmp_path, *first, *more)


def test_rows_that_did_not_fit_are_written_when_there_is_space_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    store = open_store(tmp_path, info())
    store.add(row("a.wav"))
    with monkeypatch.context() as patch:
        patch.setattr("mirfeat.files.os.fsync", full)
        with pytest.raises(StoreError):
            store.commit()
    store.close()
    assert_table(tmp_path, row("a.wav"))


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        open_store(tmp_path / "feats", info())


class KilledError(BaseException):
    """Nothing after the line that raises it happens."""


def kill(*_: object, **__: object) -> None:
    raise KilledError


def test_an_old_row_does_not_come_back_when_its_clip_works_again(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row, then a failure, both kills; then a row whose part is not written: neither is there."""
    write(tmp_path, info(format), row("f.wav"), row("b.wav"))
    store = open_store(tmp_path, info(format))
    store.fail(FAILED)
    store.close(tidy=False)
    store = open_store(tmp_path, info(format))
    store.add(row("f.wav", number=9))
    with monkeypatch.context() as patch:
        patch.setattr(type(store._row_files), "write", kill)
        with pytest.raises(KilledError):
            store.close(tidy=False)
    table = load_features(tmp_path)
    assert (table.ids, table.failures) == (("b.wav",), ())
    with open_store(tmp_path, info(format)) as store:
        assert not store.has(*made_from(row("f.wav")))


@pytest.mark.parametrize("format", ["npz", "npy"])
def test_a_clip_replaced_without_its_list_is_done_in_no_state(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between; then the file of before comes back, and has the vector of the other."""
    write(tmp_path, info(format), row("a.wav"), row("b.wav"))
    store = open_store(tmp_path, info(format))
    store.add(row("a.wav", number=9))
    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_csv", lambda *_: None)
        calls: list[object] = []
        real = clip_files.write_csv

        def killed_at_the_second(*arguments: Any) -> None:
            calls.append(arguments)
            kill() if len(calls) == 2 else real(*arguments)

        patch.setattr(clip_files, "write_csv", killed_at_the_second)
        with pytest.raises(KilledError):
            store.close(tidy=False)
    assert_table(tmp_path, row("a.wav", number=9), row("b.wav"))
    with open_store(tmp_path, info(format)) as store:
        assert not store.has(*made_from(row("a.wav")))
        assert not store.has(*made_from(row("a.wav", number=9)))
        assert store.has(*made_from(row("b.wav")))
        store.add(row("a.wav"))
    assert_table(tmp_path, row("a.wav"), row("b.wav"))
    assert sorted(ids_in(tmp_path, format)) == ["a.wav", "b.wav"]


def test_a_part_that_is_there_although_writing_it_failed_is_no_second_row(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path) -> None:
        if any(folder.rglob("part-*")):
            raise OSError(5, "Input/output error")

    store = open_store(tmp_path, info(format))
    store.add(row("a.wav"))
    with monkeypatch.context() as patch:
        patch.setattr("mirfeat.files.sync_folder", broken)
        with pytest.raises(StoreError, match="Input/output error"):
            store.commit()
    store.close()
    assert_table(tmp_path, row("a.wav"))
    assert ids_in(tmp_path, format) == ["a.wav"]


@pytest.mark.parametrize("part_rows", [1, 2, 500])
def test_the_last_word_about_a_clip_counts(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch, part_rows: int
) -> None:
    monkeypatch.setattr(writing, "MOST_ROWS", part_rows)
    with open_store(tmp_path, info(format)) as store:
        for item in (row("a.wav"), row("f.wav"), row("a.wav", number=9), row("g.wav")):
            store.add(item)
        store.fail(FAILED)
        store.fail(Failure("g.wav", "DecodeError", "damaged"))
        store.add(row("g.wav", number=8))
    assert_table(tmp_path, row("a.wav", number=9), row("g.wav", number=8))
    assert sorted(ids_in(tmp_path, format)) == ["a.wav", "g.wav"]
    assert load_features(tmp_path).failures == (FAILED,)


def test_failures_alone_are_safe_after_a_while_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(writing.time, "monotonic", lambda: now)
    with open_store(tmp_path, info()) as store:
        store.fail(FAILED)
        assert read_failures(tmp_path) == []
        now = writing.MOST_SECONDS + 1
        store.fail(Failure("g.wav", "DecodeError", "damaged"))
        assert [item.id for item in read_failures(tmp_path)] == ["f.wav", "g.wav"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_parts_go_when_the_joined_file_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a loss of power could keep the deletion and forget the new name."""
    done: list[str] = []
    fsync, unlink = os.fsync, Path.unlink

    def noted_fsync(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")) == tmp_path:
            done.append(f"sync with {(tmp_path / 'features.csv').exists()}")
        fsync(descriptor)

    def noted_unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name.startswith("part-"):
            done.append(self.name)
        unlink(self, missing_ok=missing_ok)

    with open_store(tmp_path, info()) as store:
        store.add(row("a.wav"))
        store.commit()
        store.add(row("b.wav"))
        store.commit()
        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(Path, "unlink", noted_unlink)
    assert done[-3:] == ["sync with True", "part-000001.csv", "part-000002.csv"]


# Runs in a process of its own, which forks a child for each moment at which a run can be killed.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from mirfeat.store import writer as writing
from mirfeat.results.outcomes import Failure
from mirfeat.store.reading import load_features
from mirfeat.store.writer import StoreWriter
from tests.support.stores import info, row
if sys.argv[2] == "parquet":
    import pandas, pyarrow.parquet  # once, not in each child

base, format = Path(sys.argv[1]), sys.argv[2]
writing.MOST_ROWS = 2
os.fsync = lambda fd: None  # it is the process that dies, not the machine
OLD = [row("a"), row("b"), row("c")]
NEW = [row("a", number=9), None, row("c"), row("d"), row("e")]  # b fails, c is the same


def run(folder, names_and_rows):
    with StoreWriter(folder, info(format), resume=True, overwrite=False) as store:
        for name, item in names_and_rows:
            if item is None:
                store.fail(Failure(name, "DecodeError", "damaged"))
            elif not store.has(name, item.size, item.mtime_ns):
                store.add(item)


def die_before(number):
    left = number

    def counted(function):
        def call(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call

    os.fsync = counted(os.fsync)
    Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)


def state(folder):
    table = load_features(folder)
    return {
        "rows": {id: vector.tolist() for id, vector in zip(table.ids, table.values)},
        "failed": [failure.id for failure in table.failures],
    }


def in_child(work):
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.write(write, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as file:
        result = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), result


def killed_run(folder, number):
    run(folder, [("a", OLD[0]), ("b", OLD[1]), ("c", OLD[2]), ("e", None)])
    interrupted = StoreWriter(folder, info(format), resume=True, overwrite=False)
    interrupted.add(row("a", number=8))
    interrupted.close(tidy=False)
    die_before(number)
    run(folder, zip("abcde", NEW))


def after(folder):
    killed = state(folder)
    run(folder, zip("abcde", NEW))
    names = sorted(path.name for path in folder.rglob("*"))
    return {"killed": killed, "rerun": state(folder), "files": names}


number, results = 0, []
while True:
    number += 1
    folder = base / str(number)
    code, _ = in_child(lambda: killed_run(folder, number))
    if code == 0:
        break
    assert code == -signal.SIGKILL, code
    code, text = in_child(lambda: after(folder))
    assert code == 0, (number, code)
    results.append(json.loads(text))
print(json.dumps(results))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_killed_at_any_moment_loses_nothing_and_a_rerun_completes_it(
    tmp_path: Path, format: Format
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), format],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout)
    assert len(results) > 10  # each file that is written can be cut off in three places

    def vector(number: int) -> list[float]:
        return row("", number=number).vector.tolist()  # type: ignore[no-any-return]

    # What has been read once is not taken back later.
    states = [result["killed"]["rows"]["a"] for result in results]
    assert states == sorted(states, key=[vector(8), vector(9)].index)
    for result in results:
        rows, failed = result["killed"]["rows"], result["killed"]["failed"]
        assert rows["c"] == vector(7)
        assert ("b" in rows) == ("b" not in failed)
        assert not ("e" in rows and "e" in failed)
        assert result["rerun"]["rows"] == {
            "a": vector(9),
            **{name: vector(7) for name in "cde"},
        }
        assert result["rerun"]["failed"] == ["b"]
        assert not any(name.startswith(".writing-") for name in result["files"])
        assert "b.npz" not in result["files"]
