import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ostinato.data.records.pairs import Pair, Pairs
from ostinato.models import Seq2Seq
from ostinato.recipes.translate.data import TokenPairs, TranslateKnown
from ostinato.recipes.translate.judge import TranslationJudge
from ostinato.recipes.translate.settings import Answering, ScoringSettings, TranslateReadingSettings
from ostinato.recipes.translate.writing import Translation, Writer

READING = TranslateReadingSettings(tokens="word", joint=False, min_count=1)
PAIRS = Pairs(
    "some",
    (
        Pair("das ist ein kleines Haus", "this is a small house"),
        Pair("ja", "yes"),
        Pair("das Haus ist klein", "the house is small"),
    ),
    (),
    0,
)


def judge(**scoring):
    torch.manual_seed(0)
    known = TranslateKnown.of(PAIRS, READING)
    model = Seq2Seq(
        len(known.source),
        len(known.target),
        begin=known.target.begin,
        end=known.target.end,
        embedding_size=4,
        hidden_size=6,
    ).eval()
    writer = Writer(model, known, READING, Answering(beam=2))
    return TranslationJudge(writer, PAIRS, ScoringSettings(**scoring), draws=True)


def answered(texts, **scoring):
    """A judge who has been told those answers."""
    made = judge(**scoring)
    made.answers = {row: Translation(text, None) for row, text in enumerate(texts)}  # pyright: ignore[reportArgumentType]
    made._losses, made._counts = [torch.tensor(1.0), torch.tensor(2.0)], [3, 1]
    return made


def bleu_by_hand(written, known):
    """Papineni et al. 2002: precisions of 1 to 4 words in a row, their geometric mean, the penalty for brevity."""
    logs = []
    for n in range(1, 5):
        right = total = 0
        for said, meant in zip(written, known, strict=True):
            rows = [list(zip(*(text.split()[at:] for at in range(n)), strict=False)) for text in (said, meant)]
            right += sum(min(rows[0].count(each), rows[1].count(each)) for each in set(rows[0]))
            total += len(rows[0])
        logs.append(math.log(right / total))
    words = [sum(len(text.split()) for text in texts) for texts in (written, known)]
    return 100.0 * math.exp(sum(logs) / 4 + min(0.0, 1.0 - words[1] / words[0]))


def test_bleu_is_that_of_the_paper():
    written = ["this is a small house here", "yes", "a house is small"]
    found = answered(written).figures()
    assert found["bleu"] == pytest.approx(bleu_by_hand(written, [pair.target for pair in PAIRS.pairs]))
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["perplexity"] == pytest.approx(math.exp((3 * 1.0 + 2.0) / 4))


@pytest.mark.parametrize("lower_case", [True, False])
def test_case_counts_unless_it_shall_not(lower_case):
    made = answered([pair.target.upper() for pair in PAIRS.pairs], lower_case=lower_case)
    figures = made.figures()
    assert (figures["exact_match"] == 1.0) == lower_case == (figures["bleu"] > 99)
    assert ("case:lc" if lower_case else "case:mixed") in made.details()["signatures"]["bleu"]


def test_words_that_are_not_four_in_a_row_are_told():
    assert "BLEU is 0" in answered(["small", "yes", "house"]).warnings()[0]
    assert answered([pair.target for pair in PAIRS.pairs]).warnings() == []


@torch.no_grad()
def test_the_loss_is_that_of_each_target_alone():
    made = judge()
    examples = TokenPairs(PAIRS.pairs, made.writer.known, READING)
    loss = made.see(examples.batch(np.arange(3)))
    nats, terms = 0.0, 0
    for n in range(3):
        batch = examples.batch(np.array([n]))
        logits = made.writer.model(batch.input, batch.target).logits[:, 0]
        wanted = torch.cat((batch.target[:, 0], torch.tensor([made.writer.known.target.end])))
        nats += float(F.cross_entropy(logits, wanted, reduction="sum"))
        terms += len(wanted)
    assert float(loss) == pytest.approx(nats / terms, rel=1e-5)


def test_maps_show_where_each_token_of_the_answer_looked():
    made = judge()
    examples = TokenPairs(PAIRS.pairs, made.writer.known, READING)
    with torch.no_grad():
        made.see(examples.batch(np.array([2, 0, 1])))
    assert sorted(made._maps) == [0, 1, 2]
    weights, read, written = made._maps[0]
    assert read == ["das", "ist", "ein", "kleines", "Haus"]
    assert weights.shape == (len(written), 5)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(written)))
    assert set(made.pictures()) == {"attention_1", "attention_2", "attention_3"}


def test_texts_that_the_font_cannot_draw_are_not_drawn():
    part = Pairs("asia", (Pair("1990年2月", "1990"), Pair("", "nothing"), Pair("ja", "yes")), (), 0)
    made = TranslationJudge(judge().writer, part, ScoringSettings(), draws=True)
    assert made._drawn == [2]
