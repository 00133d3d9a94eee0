"""What a process left unfinished, or is still at, is not read: half a line, and a file beside its place."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from degla.errors import MissingInputError
from degla.files import atomic_path, finished_files, locked
from degla.text_files import read_json_lines


def test_half_a_last_line_is_left_out_even_where_it_ends_like_a_whole_one(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": {"b": 1}}\n{"a": {"b": 2}')
    assert read_json_lines(path, growing=True) == [(f"{path}, line 1", {"a": {"b": 1}})]
    assert read_json_lines(tmp_path / "none", growing=True) == []
    path.write_text('{"a": {"b": 1}}\n{"a": {"b": 2}}')
    assert len(read_json_lines(path)) == 2, "a file that others wrote may lack its last line break"
    with pytest.raises(MissingInputError, match="none does not exist"):
        read_json_lines(tmp_path / "none")


def test_a_lock_whose_folder_was_deleted_meanwhile_is_taken_anew(tmp_path):
    path = tmp_path / "a" / ".lock"
    with locked(path) as first, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_same_file, path)
        time.sleep(0.1)
        shutil.rmtree(path.parent)
        first.close()
        assert waiting.result(10)


def _same_file(path):
    with locked(path) as lock:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())


def test_a_file_that_is_being_written_is_not_found_before_it_is_in_place(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with atomic_path(tmp_path / "b.json") as temporary:
        temporary.write_text("{")
        assert len(list(tmp_path.glob("*.json"))) == 2
        assert finished_files(tmp_path, "*.json") == [tmp_path / "a.json"]
        temporary.write_text("{}")
    assert finished_files(tmp_path, "*.json") == [tmp_path / "a.json", tmp_path / "b.json"]
