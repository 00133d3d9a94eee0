"""Delimited text: separators, quoting, headers and encodings are recognised, or refused with the setting that decides."""

import contextlib
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import negatives, pairs, read, written

from degla.errors import ConfigError, DataError
from degla.sources.options import SourceOptions
from degla.sources.source import open_source

TWO = [("im0.jpg", "A red chair by a blue door"), ("im1.jpg", "A dog sits on a rug")]


def table(separator, header=True, rows=TWO):
    lines = [("image", "caption"), *rows] if header else rows
    return "".join(f"{separator.join(row)}\n" for row in lines)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("name", ["captions.csv", "captions.tsv", "captions.txt", "captions"])
def test_the_separator_is_recognised_whatever_the_ending(tmp_path, separator, header, name):
    assert pairs(written(tmp_path / name, table(separator, header))) == TWO


@pytest.mark.parametrize("separator", ["^", "~", "\x01", " ", "§"])
def test_any_other_separator_can_be_set(tmp_path, separator):
    rows = [("im0.jpg", "chair"), ("im1.jpg", "dog")]
    path = written(tmp_path / "captions.txt", table(separator, rows=rows))
    assert pairs(path, separator=separator) == rows


def test_a_separator_of_two_characters_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="separator must be one character; got '::'"):
        read(written(tmp_path / "a.txt", table("::")), separator="::")


def test_lines_without_a_separator_are_captions_if_that_is_said(tmp_path):
    path = written(tmp_path / "captions.txt", "A red chair\nA dog\n\n")
    with pytest.raises(DataError, match=r"no separator found. The first line is 'A red chair'. Set separator, or format: lines"):
        read(path)
    assert pairs(path, format="lines") == [("", "A red chair"), ("", "A dog")]


PANDAS = [["im0.jpg", 'A sign says "STOP" above'], ["im1.jpg", '"Hello" reads the banner'], ["im2.jpg", "A man holds,\ta cup"]]


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_what_pythons_csv_and_pandas_write_is_read_back(tmp_path, separator, quoting):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator, quoting=quoting).writerows([["image", "caption"], *PANDAS])
    expected = [(image, " ".join(caption.split())) for image, caption in PANDAS]
    assert pairs(written(tmp_path / "captions.txt", buffer.getvalue())) == expected


def test_raw_quotes_are_text(tmp_path):
    rows = [
        ("im0.jpg", '"Stop" reads a red sign'),
        ("im1.jpg", 'A 6" ruler'),
        ("im2.jpg", '"Go reads a sign'),
        ("im3.jpg", 'says "hi"'),
    ]
    assert pairs(written(tmp_path / "captions.tsv", table("\t", rows=rows))) == rows


def test_backslashes_before_quotes_are_escapes(tmp_path):
    path = written(tmp_path / "c.csv", 'image,caption\nim0.jpg,"A sign says \\"STOP\\" above"\nim1.jpg,A red chair\n')
    assert pairs(path) == [("im0.jpg", 'A sign says "STOP" above'), ("im1.jpg", "A red chair")]
    assert any("backslash" in said for said in open_source(path).recognised.said)


def test_single_quotes_around_a_column_are_no_part_of_it(tmp_path):
    path = written(tmp_path / "c.csv", "image,caption\nim0.jpg,'A chair, a ''red'' one'\nim1.jpg,'A dog'\n")
    assert pairs(path) == [("im0.jpg", "A chair, a 'red' one"), ("im1.jpg", "A dog")]


def test_quotes_that_could_be_either_are_refused_and_decided_by_quoting(tmp_path):
    path = written(tmp_path / "c.tsv", 'image\tcaption\nim0.jpg\t"A red chair"\nim1.jpg\tA dog runs\n')
    with pytest.raises(DataError, match=r'is the field "A red chair" quoted.* Set quoting: doubled .* quoting: none'):
        read(path)
    assert pairs(path, quoting="none")[0][1] == '"A red chair"'
    assert pairs(path, quoting="doubled")[0][1] == "A red chair"


def test_a_quoted_field_without_need_in_a_csv_is_rfc_4180_and_said(tmp_path):
    path = written(tmp_path / "c.csv", 'image,caption\nim0.jpg,"A red chair"\nim1.jpg,A dog runs\n')
    assert pairs(path)[0][1] == "A red chair"
    assert "a field that begins with a quote is quoted (quoting: doubled)" in open_source(path).recognised.said


def test_a_quote_between_commas_that_does_not_close_is_refused(tmp_path):
    path = written(tmp_path / "c.csv", 'image,caption\nim0.jpg,"Stop" reads a sign\nim1.jpg,A dog\n')
    with pytest.raises(DataError, match="line 2: a quote does not close, or text follows it.*set separator or quoting"):
        read(path)
    assert pairs(path, quoting="none")[0][1] == '"Stop" reads a sign'


@pytest.mark.parametrize("later", ["", 'im9.jpg,"A ""big"" dog"\n'], ids=["never closed", "closed by a later row's quote"])
def test_a_quote_that_does_not_close_costs_its_own_row_alone(tmp_path, later):
    rows = [(f"im{number}.jpg", f"A dog {number}") for number in range(2, 300)]
    path = written(tmp_path / "c.csv", 'image,caption\nim0.jpg,A cat\nim1.jpg,"A red\n' + table(",", False, rows) + later)
    with pytest.raises(DataError, match=r"1 broken line\(s\): line 3: a quote does not close"):
        read(path)
    source = open_source(path, SourceOptions(broken_rows="skip"))
    found = [(record.image, record.captions[0]) for record in source]
    assert found == [("im0.jpg", "A cat"), *rows, *([("im9.jpg", 'A "big" dog')] if later else [])]
    assert len(source.skipped) == 1


def test_a_quote_in_the_middle_of_a_quoted_field_is_named(tmp_path):
    path = written(tmp_path / "c.csv", 'image,caption\nim0.jpg,"The "Big" red bus, and a car"\nim1.jpg,A "blue" door\n')
    with pytest.raises(DataError, match=r"1 broken line.*line 2: a quote does not close, or text follows it.*broken_rows: skip"):
        read(path)
    assert pairs(path, broken_rows="skip") == [("im1.jpg", 'A "blue" door')]


def test_line_breaks_in_quotes_are_read(tmp_path):
    path = written(tmp_path / "c.tsv", 'image\tcaption\nim0.jpg\t"A chair\nby a door"\nim1.jpg\t"Two ""dogs"""\n')
    assert pairs(path) == [("im0.jpg", "A chair by a door"), ("im1.jpg", 'Two "dogs"')]


def test_a_quote_never_swallows_whole_rows_in_silence(tmp_path):
    """The first quote opens, the second closes three rows later; each line between is a row."""
    middle = "".join(f"im{number}.jpg\tA dog runs\n" for number in range(2, 5))
    path = written(tmp_path / "c.tsv", f'image\tcaption\nim0.jpg\tA cat\nim1.jpg\t"Go reads a sign\n{middle}im9.jpg\tStop"\n')
    assert [image for image, _ in pairs(path)] == ["im0.jpg", "im1.jpg", "im2.jpg", "im3.jpg", "im4.jpg", "im9.jpg"]


def test_quotes_that_begin_late_in_a_file_are_looked_at(tmp_path):
    plain = "".join(f"im{number}.jpg\tA dog runs over the green grass\n" for number in range(60_000))
    path = written(tmp_path / "c.tsv", f'image\tcaption\n{plain}x.jpg\t"Stop" reads a sign\n')
    assert pairs(path)[-1] == ("x.jpg", '"Stop" reads a sign')
    path = written(tmp_path / "d.tsv", f'image\tcaption\n{plain}x.jpg\t"A sign says ""Stop"" here"\n')
    assert pairs(path)[-1] == ("x.jpg", 'A sign says "Stop" here')


def test_a_row_of_another_width_is_named_with_its_line(tmp_path):
    path = written(
        tmp_path / "results.csv", "image_name| comment_number| comment\na.jpg| 0| A boy\na.jpg| 4  A pony\nb.jpg| 0| A man\n"
    )
    with pytest.raises(DataError, match=r"1 broken line.*line 3: 2 fields, the first row has 3"):
        read(path)
    source = open_source(path, open_source(path).recognised.options.model_copy(update={"broken_rows": "skip"}))
    assert [record.captions for record in source] == [("A boy",), ("A man",)]
    assert [each.reason for each in source.skipped] == ["2 fields, the first row has 3"]


def test_commas_in_unquoted_captions_are_refused(tmp_path):
    with pytest.raises(DataError, match="broken line"):
        read(written(tmp_path / "c.csv", "image,caption\na.jpg,A man, a dog\nb.jpg,A cat\nc.jpg,A boy, a girl, a cat\n"))


def test_without_a_header_columns_are_told_by_what_is_in_them(tmp_path):
    path = written(
        tmp_path / "cc3m.tsv", "a boy throws a ball\thttp://x.invalid/1.jpg\nactor walks\thttp://x.invalid/2.jpg?x=1\n"
    )
    assert pairs(path) == [("http://x.invalid/1.jpg", "a boy throws a ball"), ("http://x.invalid/2.jpg?x=1", "actor walks")]
    assert any("no header" in said for said in open_source(path).recognised.said)


def test_a_header_of_unknown_names_is_told_by_the_images_below_it(tmp_path):
    path = written(tmp_path / "c.csv", "foto;satz\na.jpg;Ein roter Stuhl\nb.jpg;Ein Hund\n")
    assert pairs(path) == [("a.jpg", "Ein roter Stuhl"), ("b.jpg", "Ein Hund")]


def test_a_first_row_that_could_be_either_is_refused_and_decided_by_header(tmp_path):
    path = written(tmp_path / "c.tsv", "0001\tA red chair\n0002\tA dog runs\n")
    with pytest.raises(
        DataError, match=r"does the first row, \['0001', 'A red chair'\], name the columns or is it data\? Set header"
    ):
        read(path)
    assert pairs(path, header=False, image_column=1, caption_column=2) == [("0001", "A red chair"), ("0002", "A dog runs")]


def test_a_header_that_is_data_is_read_if_that_is_said(tmp_path):
    path = written(tmp_path / "c.csv", "title,image\nA book,a.jpg\n")
    assert pairs(path, header=False, image_column=2, caption_column=1) == [("image", "title"), ("a.jpg", "A book")]


def test_a_repeated_header_is_left_out_and_said(tmp_path):
    source = open_source(written(tmp_path / "c.csv", table(",") + table(",")))
    assert [record.image for record in source] == ["im0.jpg", "im1.jpg", "im0.jpg", "im1.jpg"]
    assert [(each.where.rpartition(", ")[2], each.reason) for each in source.skipped] == [("line 4", "repeats the header")]


def test_columns_are_named_by_name_or_number(tmp_path):
    path = written(tmp_path / "c.csv", "a,b,c\nx,A red chair,A blue chair\ny,A dog,A cat\n")
    by_name = pairs(path, image_column="a", caption_column=["b", "c"])
    assert by_name == pairs(path, header=True, image_column=1, caption_column=[2, 3])
    assert by_name == [("x", "A red chair"), ("x", "A blue chair"), ("y", "A dog"), ("y", "A cat")]
    with pytest.raises(DataError, match="has no 'capton'; there are: image, caption|did you mean 'caption'"):
        read(written(tmp_path / "d.csv", table(",")), caption_column="capton")
    with pytest.raises(DataError, match="has 2 columns, no column 3"):
        read(tmp_path / "d.csv", caption_column=3)


def test_several_numbered_caption_columns_are_read_in_order(tmp_path):
    path = written(tmp_path / "c.csv", "file_name,caption_10,caption_2,caption_1\na.jpg,ten,two,one\n")
    assert [caption for _, caption in pairs(path)] == ["one", "two", "ten"]


def test_two_columns_that_could_be_the_caption_are_refused(tmp_path):
    path = written(tmp_path / "c.csv", "image,title,description\na.jpg,A book,A book on a table\n")
    with pytest.raises(DataError, match="which of 'title', 'description' has the captions.*Set caption_column"):
        read(path)
    assert pairs(path, caption_column="description") == [("a.jpg", "A book on a table")]


def test_names_in_other_case_and_blanks_around_them_are_known(tmp_path):
    assert pairs(written(tmp_path / "a.csv", "Image, Caption\nim0.jpg, A red chair\n")) == [("im0.jpg", "A red chair")]


def test_escapes_that_are_not_undone_are_said(tmp_path):
    path = written(tmp_path / "a.tsv", "image\tcaption\nim0.jpg\tA dog\\nruns\n")
    assert pairs(path) == [("im0.jpg", "A dog\\nruns")]
    assert r"\n and \t written as two characters stay as they are" in open_source(path).recognised.said


def test_blank_lines_before_the_header_are_passed_over(tmp_path):
    assert pairs(written(tmp_path / "a.csv", "\n\nimage,caption\nim0.jpg,A dog\n\n")) == [("im0.jpg", "A dog")]


def test_the_name_of_the_only_column_is_no_caption(tmp_path):
    source = open_source(written(tmp_path / "a.csv", "caption\nA dog runs\n"), SourceOptions(format="lines"))
    assert [record.captions for record in source] == [("A dog runs",)]
    assert source.skipped[0].reason == "'caption' is the name of a column and no caption"


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two columns are called 'caption'"):
        read(written(tmp_path / "a.csv", "image,caption,caption\na.jpg,A dog,A cat\n"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_file_that_says_its_encoding_is_read(tmp_path, encoding):
    text = table("\t", rows=[("im0.jpg", "A café terrace")])
    assert pairs(written(tmp_path / "c.tsv", text.encode(encoding))) == [("im0.jpg", "A café terrace")]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [("latin-1", "line 2: byte 0xe9 is not UTF-8. Set encoding: cp1252"), ("utf-16-le", "line 1: holds a NUL.*utf-16-le")],
)
def test_another_encoding_is_named_and_can_be_set(tmp_path, encoding, message):
    path = written(tmp_path / "c.tsv", table("\t", rows=[("im0.jpg", "A café terrace")]).encode(encoding))
    with pytest.raises(DataError, match=message):
        read(path)
    assert pairs(path, encoding=encoding) == [("im0.jpg", "A café terrace")]


def test_an_encoding_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no 'utf-9'"):
        read(written(tmp_path / "c.tsv", table("\t")), encoding="utf-9")


def test_a_nul_is_refused_with_its_line(tmp_path):
    with pytest.raises(DataError, match="line 3: holds a NUL"):
        read(written(tmp_path / "c.tsv", "image\tcaption\na.jpg\tA dog\nb.jpg\tA \0cat\n"))


def test_a_size_limit_names_its_setting(tmp_path):
    path = written(tmp_path / "c.tsv", f"image\tcaption\na.jpg\t{'long ' * 100_000}\n")
    assert len(pairs(path)[0][1]) == 499_999  # beyond Python's own limit of 131,072
    with pytest.raises(DataError, match="line 2: is longer than max_text = 1,000 characters"):
        read(path, max_text=1000)


def test_negatives_stand_in_columns_or_lists(tmp_path):
    wide = written(tmp_path / "wide.csv", "image,caption,negative_1,negative_2\na.jpg,A dog,A cat,A cow\nb.jpg,A man,,A boy\n")
    assert negatives(wide) == [("A cat", None), ("A cow", None), ("A boy", None)]
    python = written(tmp_path / "negclip.tsv", "\ttitle\tfilepath\tneg_caption\n0\tA dog.\ta.jpg\t['A cat .', \"A dog's cow\"]\n")
    assert negatives(python) == [("A cat .", None), ("A dog's cow", None)]
    typed = written(tmp_path / "typed.csv", "caption,type,rewrite\nA red dog,replace_adjectives,A blue dog\n")
    assert negatives(typed) == [("A blue dog", "replace_adjectives")]


def test_a_broken_list_is_named_with_its_row_and_setting(tmp_path):
    rows = "".join(f"a.jpg\tA dog\t['A cat {number}']\n" for number in range(600))
    path = written(tmp_path / "n.tsv", f"image\tcaption\tnegatives\n{rows}b.jpg\tA dog\t['A cat\n")
    with pytest.raises(DataError, match="line 602: 'negatives' is .*expected a list of texts. Set list_column"):
        read(path)


def test_texts_that_stand_for_none_are_no_negatives(tmp_path):
    path = written(
        tmp_path / "ce.csv", "image,caption,relation_aug_caption,adj_aug_caption\na.jpg,A dog,A cat,###\nb.jpg,A man,<mask>,\n"
    )
    assert negatives(path) == [("A cat", None)]


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).map(lambda text: f"a {text} b")


@settings(max_examples=25)
@given(st.lists(TEXT, min_size=1, max_size=6), st.sampled_from([",", "\t", ";"]))
def test_no_caption_that_csv_writes_comes_back_otherwise(tmp_path_factory, captions, separator):
    """Or the file is refused: never another text in silence."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator)
    writer.writerows([["image", "caption"], *([f"{number}.jpg", caption] for number, caption in enumerate(captions))])
    path = written(tmp_path_factory.mktemp("csv") / "c.csv", buffer.getvalue())
    expected = [(f"{number}.jpg", " ".join(caption.split())) for number, caption in enumerate(captions)]
    with contextlib.suppress(DataError):
        assert pairs(path) == expected
