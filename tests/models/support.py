"""Small language models for the tests of this folder."""

import torch

from ostinato.data import CharVocabulary
from ostinato.models import LanguageModel

LETTERS = CharVocabulary("\n ehlo")
V = len(LETTERS)


def small(cell="lstm", seed=0, vocabulary=LETTERS, **arguments):
    """In float64 and evaluation mode, with weights away from the small values at which every mistake looks small."""
    torch.manual_seed(seed)
    arguments = {"embedding_size": 5, "hidden_size": 7, **arguments}
    model = LanguageModel(vocabulary, cell=cell, **arguments).double()
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -1.0, 1.0)
    return model.eval()
