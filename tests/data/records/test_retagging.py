"""Files written again with other tags, against the files as they were."""

import pytest

from ostinato.data import read_sentences
from ostinato.data.records.retagging import new_columns, new_conllu, retagged_columns, retagged_conllu
from ostinato.errors import DataError, OstinatoError

TREEBANK = (
    "# newdoc id = d\n"
    "# sent_id = d-1\n"
    "# text = vámonos al mar\n"
    "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n"
    "1\tvamos\tir\tVERB\tV\tMood=Imp\t0\troot\t0:root\t_\n"
    "2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t1:obj\t_\n"
    "3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "3\ta\ta\tADP\tE\t_\t5\tcase\t5:case\t_\n"
    "4\tel\tel\tDET\tD\t_\t5\tdet\t5:det\t_\n"
    "5\tmar\tmar\tNOUN\tN\t_\t1\tobl\t1:obl\t_\n"
    "5.1\tgris\tgris\tADJ\tA\t_\t_\t_\t5:amod\tCopyOf=-1\n"
    "\n"
    "# only a comment\n"
    "\n"
    "# sent_id = d-2\n"
    "1\t-\t-\tPUNCT\tF\t_\t0\troot\t0:root\t_\n"
    "2\t_\t_\tSYM\tS\t_\t1\tdep\t1:dep\t_\n"
    "\n"
)
NEW = [["V", "P", "A", "D", "N"], ["X", "Y"]]


def write(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("column", ["upos", "xpos", "feats", "misc"])
def test_all_but_the_column_of_tags_stays_as_it_is(tmp_path, end, mark, last, column):
    text = mark + (TREEBANK if last else TREEBANK.rstrip("\n")).replace("\n", end)
    path = write(tmp_path / "a.conllu", text)
    got = "".join(retagged_conllu(path, column, NEW))
    tags, at = iter(tag for each in NEW for tag in each), {"upos": 3, "xpos": 4, "feats": 5, "misc": 9}[column]
    for before, after in zip(text.split(end), got.split(end), strict=True):
        if before[:1].isdigit() and before.partition("\t")[0].isdigit():
            cells = before.split("\t")
            cells[at] = next(tags)
            before = "\t".join(cells)
        assert after == before
    assert next(tags, None) is None


def test_the_same_tags_give_the_same_file_and_new_ones_are_read_back(tmp_path):
    path = write(tmp_path / "a.conllu", TREEBANK)
    same = [each.tags for each in read_sentences(path)]
    assert "".join(retagged_conllu(path, "upos", same)) == TREEBANK
    again = write(tmp_path / "b.conllu", "".join(retagged_conllu(path, "upos", NEW)))
    assert [list(each.tags) for each in read_sentences(again)] == NEW


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada\tN\tPER\nruns\tV\tO\n\nRome\tN\tLOC", "Ada\tN\tA\nruns\tV\tB\n\nRome\tN\tC"),
        (
            "# id 1\nAda  N   PER\r\nruns V O\r\n\r\nRome N LOC\r\n",
            "# id 1\nAda  N   A\r\nruns V B\r\n\r\nRome N C\r\n",
        ),
        (
            "-DOCSTART- -X- O\n\nAda N PER\nruns V O\n\nRome N LOC\n\n",
            "-DOCSTART- -X- O\n\nAda N A\nruns V B\n\nRome N C\n\n",
        ),
        ("Ada\nruns\n\nRome\n", "Ada\tA\nruns\tB\n\nRome\tC\n"),
        ("Ada N\nruns V\n\nRome N\n", "Ada N A\nruns V B\n\nRome N C\n"),  # no tags of this run: another column
        ("Ada\tN\nruns\tV\n\nRome\tN\n", "Ada\tN\tA\nruns\tV\tB\n\nRome\tN\tC\n"),
        ("Ada\t PER \nruns\tO\n\n\n\nRome\tLOC\n", "Ada\t A \nruns\tB\n\n\n\nRome\tC\n"),
    ],
)
def test_columns_keep_all_but_their_tags(tmp_path, text, expected):
    path = write(tmp_path / "a.conll", text)
    known = {"PER", "LOC", "O"}.__contains__
    assert "".join(retagged_columns(path, -1, 0, [["A", "B"], ["C"]], known)) == expected


def test_the_column_of_tags_may_be_any(tmp_path):
    path = write(tmp_path / "a.conll", "1\tPER\tAda\n2\tO\truns\n")
    assert "".join(retagged_columns(path, 1, 2, [["A", "B"]], {"PER", "O"}.__contains__)) == "1\tA\tAda\n2\tB\truns\n"


def test_plain_words_become_files_that_are_read_back(tmp_path):
    sentences = [(["Ada", "runs"], ["N", "V"]), (["#"], ["S"])]
    treebank = write(tmp_path / "a.conllu", "".join(new_conllu("xpos", sentences)))
    assert treebank.read_text().startswith("# sent_id = 1\n# text = Ada runs\n1\tAda\t_\t_\tN\t_\t_\t_\t_\t_\n")
    columns = write(tmp_path / "a.conll", "".join(new_columns(sentences)))
    for found in (read_sentences(treebank, "xpos"), read_sentences(columns)):
        assert [(list(each.words), list(each.tags)) for each in found] == sentences


def test_what_does_not_fit_is_told(tmp_path):
    path = write(tmp_path / "a.conllu", TREEBANK)
    with pytest.raises(DataError, match="expected 2 tags for a sentence, got 1; has the file changed"):
        list(retagged_conllu(path, "upos", [NEW[0], ["X"]]))
    with pytest.raises(DataError, match="expected 2 tags for a sentence, got none"):
        list(retagged_conllu(path, "upos", NEW[:1]))
    with pytest.raises(OstinatoError, match=r"expected a tag that fits a column, got 'a\\tb'"):
        list(retagged_conllu(path, "upos", [["a\tb", *NEW[0][1:]], NEW[1]]))
