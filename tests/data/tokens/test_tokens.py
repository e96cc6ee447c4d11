import numpy as np

from ostinato.data.tokens.tokens import TokenList


def test_the_parts_are_what_was_given_to_them():
    tokens = TokenList(np.dtype(np.uint16))
    tokens.append(0, np.array([1, 2, 3], np.uint16), True)
    tokens.append(0, np.array([], np.uint16), True)  # a document without a token is none
    tokens.append(0, np.array([400], np.uint16), True)
    tokens.append(1, np.array([5, 6], np.uint16), True)
    tokens.append(1, np.array([7], np.uint16), False)
    tokens.append(1, np.array([], np.uint16), True)
    tokens.append(2, np.array([8], np.uint16), True)
    train, validation, test = tokens.finish((10, 4, 1), (3, 2, 1))
    assert train.ids.tolist() == [1, 2, 3, 400]
    assert train.document_starts.tolist() == [0, 3]
    assert (len(train), train.characters, train.words) == (4, 10, 3)
    assert validation.ids.tolist() == [5, 6, 7]
    assert validation.document_starts.tolist() == [0]
    assert (validation.characters, validation.words) == (4, 2)
    assert (test.ids.tolist(), test.document_starts.tolist(), test.characters, test.words) == ([8], [0], 1, 1)
    assert train.ids.dtype == validation.ids.dtype == np.uint16
    assert train.document_starts.dtype == np.int64


def test_nothing_is_no_token():
    train, validation, test = TokenList(np.dtype(np.uint8)).finish((0, 0, 0), (0, 0, 0))
    assert len(train) == len(validation) == len(test) == len(train.document_starts) == 0
    assert train.ids.dtype == np.uint8
