"""`ostinato predict --output a.conllu`: what was predicted for, with other tags."""

from pathlib import Path

import pytest

from ostinato.cli.main import main
from ostinato.recipes import load, train

from ..tagged import sentences, small, write, write_conllu


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run on CoNLL-U and one on columns."""
    folder = tmp_path_factory.mktemp("runs")
    treebank = write_conllu(folder / "a.conllu", sentences())
    columns = write(folder / "a.conll", sentences())
    return {
        name: train(small(folder / name, data)).run.path
        for name, data in (("treebank", treebank), ("columns", columns))
    }


def predicted(run, data, output, **asked):
    assert main(["predict", str(run), str(data), "--output", str(output), "--device", "cpu"], **asked) == 0
    return Path(output).read_text()


def test_a_treebank_comes_out_as_it_was_but_for_its_tags(runs, tmp_path):
    data = write_conllu(tmp_path / "new.conllu", sentences(8, seed=3))
    got = predicted(runs["treebank"], data, tmp_path / "out.conllu")
    tags = iter(tag for each in load(runs["treebank"]).predict(Path(data)) for tag in each.tags)
    wanted = []
    for line in Path(data).read_text().split("\n"):
        cells = line.split("\t")
        if len(cells) == 10 and cells[0].isdigit():
            cells[3] = next(tags)
        wanted.append("\t".join(cells))
    assert got == "\n".join(wanted)
    assert "1-2\tboth" in got
    assert "# a comment" in got


def test_a_file_may_be_written_in_its_own_place(runs, tmp_path):
    data = write_conllu(tmp_path / "new.conllu", sentences(4, seed=3))
    wanted = predicted(runs["treebank"], data, tmp_path / "out.conllu")
    assert predicted(runs["treebank"], data, data) == wanted


def test_lines_of_words_become_a_treebank(runs, tmp_path):
    (tmp_path / "new.txt").write_text("the dog sees\n\na fox hears\n")
    got = predicted(runs["treebank"], tmp_path / "new.txt", tmp_path / "out.conllu")
    assert got.count("# sent_id = ") == 2
    assert got.splitlines()[2].startswith("1\tthe\t_\tDET\t_")


def test_columns_come_out_as_columns(runs, tmp_path):
    (tmp_path / "new.conll").write_text("the\ndog\nsees\n")
    tags = load(runs["columns"]).predict([["the", "dog", "sees"]])[0].tags
    wanted = "".join(f"{word}\t{tag}\n" for word, tag in zip(["the", "dog", "sees"], tags, strict=True))
    assert predicted(runs["columns"], tmp_path / "new.conll", tmp_path / "out.conll") == wanted
    data = write(tmp_path / "tagged.conll", sentences(3, seed=4))
    assert predicted(runs["columns"], data, tmp_path / "again.conll").count("\t") == Path(data).read_text().count("\t")


def test_tags_without_a_place_in_conllu_are_told_and_nothing_is_lost(runs, tmp_path, capsys):
    output = tmp_path / "out.conllu"
    output.write_text("before")
    data = write_conllu(tmp_path / "new.conllu", sentences(4, seed=3))
    assert main(["predict", str(runs["columns"]), data, "--output", str(output)]) == 2
    assert (
        "trained on columns without names, so its tags have no place in CoNLL-U; write .conll"
        in capsys.readouterr().err
    )
    assert output.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
