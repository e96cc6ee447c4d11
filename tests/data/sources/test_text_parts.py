import gzip
import os

import pytest

from ostinato.data import ByteVocabulary, open_corpus
from ostinato.data.sources.text_parts import find_text_parts
from ostinato.data.tokens.corpus import open_to_score
from ostinato.errors import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Writes files of so many bytes, or texts, and goes there."""
    monkeypatch.chdir(tmp_path)

    def write(*names, **sizes):
        for name in names:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            content = f"text of {name}\n".encode() * sizes.get("lines", 1)
            with open(name, "wb") as file:
                file.write(gzip.compress(content) if name.endswith(".gz") else content)
        return tmp_path

    return write


def names(parts):
    return [[os.path.relpath(each.name) for each in part] for part in (parts.train, parts.validation, parts.test)]


@pytest.mark.parametrize(
    "files",
    [
        ("x.train.txt", "x.valid.txt", "x.test.txt"),
        ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
        ("train.txt", "dev.txt", "test.txt"),
        ("train.txt.raw", "validation.txt.raw", "test.txt.raw"),
        ("train", "valid", "test"),
        ("ptb.train.txt.gz", "ptb.valid.txt", "ptb.test.txt.gz"),
        ("en_ewt-ud-train.conllu", "en_ewt-ud-dev.conllu", "en_ewt-ud-test.conllu"),
        ("train/a.txt", "valid/b.txt", "test/c.txt"),
        ("corpus/Train.TXT", "corpus/Valid.TXT", "corpus/Test.TXT"),
    ],
)
def test_names_tell_the_parts(folder, files):
    folder(*files, "README.md")
    parts = find_text_parts(".")
    assert names(parts) == [[file] for file in files]
    assert "leaves out README.md" in parts.remark
    os.remove("README.md")
    assert names(find_text_parts("**/*")) == names(parts)  # a glob is no way around


def test_files_of_one_name_are_told_apart_by_their_folders(folder):
    folder("books/train/a.txt", "books/dev/a.txt", "books/test/a.txt")
    told = "trains on train/a.txt, validates with dev/a.txt, tests with test/a.txt"
    assert find_text_parts("books").remark == f"books/, 3 files: {told}"


def test_a_part_may_be_many_numbered_files(folder):
    folder("train-00000-of-00002.txt", "train-00001-of-00002.txt", "test-00000-of-00001.txt")
    assert names(find_text_parts(".")) == [
        ["train-00000-of-00002.txt", "train-00001-of-00002.txt"],
        [],
        ["test-00000-of-00001.txt"],
    ]
    assert "validates with a share of it" in find_text_parts(".").remark


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (("a.train.txt", "b.train.txt", "a.valid.txt"), "a.train.txt and b.train.txt could both be the train part"),
        (("train.txt", "test.txt", "test.txt.gz"), "test.txt and test.txt.gz could both be the test part"),
        (("train.txt", "valid.txt", "dev/a.txt"), "could both be the validation part"),
        (("a/train.txt", "a/test.txt", "b/train.txt", "b/test.txt"), "a/ and b/ both have parts called train"),
        (
            ("train.txt", "test.txt", "1.txt", "2.txt", "3.txt"),
            "train.txt, test.txt are called parts, but most of the text",
        ),
    ],
)
def test_what_is_not_clear_is_asked_for(folder, files, says):
    folder(*files)
    with pytest.raises(DataError, match=says):
        find_text_parts(".")
    assert len(names(find_text_parts(".", by_name=False))[0]) == len(files)


@pytest.mark.parametrize(
    "files",
    [("train.py", "test.py"), ("how_to_train.txt", "my_test_bed.txt"), ("a.txt", "b/c/train.txt", "b/c/test.txt")],
)
def test_other_things_are_no_parts(folder, files):
    folder(*files)
    folder("big.txt", lines=9)
    assert len(names(find_text_parts("."))[0]) == len(files) + 1


def test_a_test_without_a_train_is_told(folder):
    folder("novel.txt", "test.txt")
    parts = find_text_parts(".")
    assert names(parts)[0] == ["novel.txt", "test.txt"]
    assert "test.txt is trained on like the rest" in parts.remark


def test_what_is_named_is_not_trained_on(folder):
    folder("a.txt", "b.txt", "c.txt")
    assert names(find_text_parts(".", test="./c.txt")) == [["a.txt", "b.txt"], [], ["c.txt"]]
    with pytest.raises(DataError, match="nothing is left to train on"):
        find_text_parts("a.txt", "a.txt")
    with pytest.raises(DataError, match=r"b\.txt: is in the validation and in the test part"):
        find_text_parts("a.txt", "b.txt", "b.txt")


def test_what_is_named_goes_before_what_is_found(folder):
    folder("x.train.txt", "x.valid.txt", "x.test.txt", "other.txt")
    assert names(find_text_parts(".", "other.txt")) == [["x.train.txt"], ["other.txt"], ["x.test.txt"]]
    assert names(find_text_parts("other.txt", ".", ".")) == [["other.txt"], ["x.valid.txt"], ["x.test.txt"]]


def test_a_folder_of_parts_is_scored_on_its_last_one(folder):
    folder("train.txt", "valid.txt")
    vocabulary = ByteVocabulary()
    for part in ("valid", "test"):
        folder(f"{part}.txt")
        name, tokens = open_to_score(".", vocabulary)
        assert name.endswith({"valid": ", validation", "test": ", test"}[part])
        assert vocabulary.decode(tokens.ids) == f"text of {part}.txt\n"


@pytest.mark.parametrize("memory", [10, 10**9])
def test_a_corpus_has_the_parts_that_its_files_are(folder, monkeypatch, memory):
    from ostinato.data.tokens import corpus as corpus_module

    monkeypatch.setattr(corpus_module, "IN_MEMORY_BYTES", memory)
    folder("x.train.txt", "x.valid.txt", "x.test.txt.gz", "README", lines=3)
    corpus = open_corpus(".", kind="byte", folder=folder() / ".run")
    for part in ("train", "valid", "test"):
        tokens = getattr(corpus, {"valid": "validation"}.get(part, part))
        file = f"x.{part}.txt{'.gz' if part == 'test' else ''}"
        assert corpus.vocabulary.decode(tokens.ids) == f"text of {file}\n" * 3
        assert (tokens.characters, tokens.words) == (3 * len(f"text of {file}\n"), 9)
        assert tokens.document_starts.tolist() == [0]
    again = open_corpus(".", kind="byte", folder=folder() / ".run")
    assert again.test.ids.tolist() == corpus.test.ids.tolist()


def test_parts_lie_behind_urls_too():
    import fsspec

    memory = fsspec.filesystem("memory")
    for part in ("train", "valid", "test"):
        memory.pipe(f"/parts/x.{part}.txt", part.encode() * 9)
    corpus = open_corpus("memory://parts", kind="byte")
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [45, 45, 36]


def test_no_token_of_the_test_part_is_in_the_vocabulary(folder):
    folder("train.txt", "valid.txt", "test.txt")
    (folder() / "test.txt").write_text("Ω")
    assert "Ω" not in open_corpus(".").vocabulary.to_dict()["characters"]


def test_a_share_is_cut_off_between_documents_of_the_training_part(folder):
    folder(*(f"train-{i}.txt" for i in range(9)), "test.txt", lines=4)
    corpus = open_corpus(".", kind="byte", validation_share=0.12)
    assert corpus.vocabulary.decode(corpus.validation.ids) == "text of train-8.txt\n" * 4
    assert corpus.vocabulary.decode(corpus.test.ids) == "text of test.txt\n" * 4


def test_a_share_is_cut_off_between_lines_of_one_document(tmp_path):
    (tmp_path / "a.txt").write_text("the <unk> of a line\n" * 100)
    corpus = open_corpus(str(tmp_path), kind="word", validation_share=0.07267)
    assert corpus.vocabulary.decode(corpus.validation.ids).startswith("the <unk> of a line\n")
    assert corpus.train.characters == 20 * 93


def test_an_empty_part_is_named(folder):
    folder("train.txt", "test.txt")
    open("valid.txt", "w").close()
    with pytest.raises(DataError, match="no text in the validation part"):
        open_corpus(".")
