"""Files that grow line by line: what a killed process left unfinished is not read."""

from degla.files import read_json_lines


def test_half_a_last_line_is_left_out_even_where_it_ends_like_a_whole_one(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": {"b": 1}}\n{"a": {"b": 2}')
    assert read_json_lines(path) == [{"a": {"b": 1}}]
    assert read_json_lines(tmp_path / "none") == []
