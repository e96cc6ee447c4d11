"""A decoder by itself: what it looks at need not be an encoder's."""

import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.models import AttentionDecoder, BeamSettings, beam_search

V, CELLS, B, F, H = 7, 9, 4, 5, 6
BEGIN, END = 0, 1


def image_decoder(**arguments):
    torch.manual_seed(0)
    return AttentionDecoder(V, F, embedding_size=4, hidden_size=H, cell="gru", **arguments).eval()


def test_it_looks_at_the_cells_of_an_image_from_a_first_state_made_of_it():
    decoder, from_image = image_decoder(), torch.nn.Linear(F, H)
    cells = torch.randn(CELLS, B, F)
    hidden = torch.tanh(from_image(cells.mean(0))).unsqueeze(0)
    written = decoder(torch.randint(V, (3, B)), decoder.begin(hidden, cells))
    assert written.weights is not None
    assert written.weights.shape == (3, B, CELLS)
    torch.testing.assert_close(written.weights.sum(2), torch.ones(3, B))
    decoder.logits(written.readout).sum().backward()
    assert from_image.weight.grad is not None
    assert bool(from_image.weight.grad.any())
    with torch.no_grad():
        found = beam_search(decoder, decoder.begin(hidden, cells), B, begin=BEGIN, end=END, max_length=5)
    assert len(found) == B


@pytest.mark.parametrize("case", [{}, {"input_feeding": True}, {"coverage": True}])
def test_hypotheses_of_a_sentence_share_its_memory(case):
    """Each row goes on as if it were alone with a memory of its own, however the rows were put in order."""
    decoder = image_decoder(**case)
    for parameter in decoder.parameters():
        torch.nn.init.uniform_(parameter, -1.0, 1.0)
    cells, lengths = torch.randn(CELLS, 3, F), torch.tensor([9, 4, 1])
    hidden = torch.randn(1, 3, H)
    with torch.no_grad():
        _, state = decoder.step(decoder.begin(hidden, cells, lengths), torch.tensor([2, 3, 4]))
        state = decoder.reorder(state, torch.tensor([[2, 2], [0, 0]]))  # the second sentence leaves
        _, state = decoder.step(state, torch.tensor([2, 3, 4, 5]))
        state = decoder.reorder(state, torch.tensor([[1, 0, 1], [2, 3, 3]]))
        log_p, state = decoder.step(state, torch.tensor([1, 2, 3, 4, 5, 6]))
        assert state.memory is not None
        assert state.memory.values.shape[1] == 2
        histories = [(2, 4, 3, 1), (2, 4, 2, 2), (2, 4, 3, 3), (0, 2, 4, 4), (0, 2, 5, 5), (0, 2, 5, 6)]
        for row, (sentence, *tokens) in enumerate(histories):
            one = slice(sentence, sentence + 1)
            alone = decoder.begin(hidden[:, one], cells[: lengths[sentence], one])
            for token in tokens:
                expected, alone = decoder.step(alone, torch.tensor([token]))
            torch.testing.assert_close(log_p[row], expected[0])
            weights = decoder.attention(state)
            assert weights is not None
            torch.testing.assert_close(weights[row, : lengths[sentence]], decoder.attention(alone)[0])


def test_tokens_past_a_rows_end_do_not_move_its_state():
    decoder = image_decoder()
    cells, tokens, lengths = torch.randn(CELLS, B, F), torch.randint(V, (5, B)), torch.tensor([5, 2, 0, 3])
    state = decoder.begin(None, cells)
    whole = decoder(tokens, state, lengths)
    for b, n in enumerate(lengths.tolist()):
        if n:
            alone = decoder(tokens[:n, b : b + 1], decoder.begin(None, cells[:, b : b + 1]))
            torch.testing.assert_close(whole.readout[:n, b], alone.readout[:, 0])
            torch.testing.assert_close(whole.state.hidden[:, b], alone.state.hidden[:, 0])


def test_without_attention_it_is_a_language_model_from_a_state():
    torch.manual_seed(0)
    decoder = AttentionDecoder(V, None, embedding_size=4, hidden_size=H, attention=None, cell="gru").eval()
    assert decoder.readout is None
    hidden, tokens = torch.randn(1, B, H), torch.randint(V, (3, B))
    written = decoder(tokens, decoder.begin(hidden))
    expected, _ = decoder.recurrent(decoder.embedding(tokens), hidden)
    assert torch.equal(written.readout, expected)
    found = beam_search(decoder, decoder.begin(hidden), B, begin=BEGIN, end=END, max_length=3, settings=BeamSettings(2))
    assert all(h.positions is None for each in found for h in each)


def test_errors_say_what_was_expected():
    with pytest.raises(ConfigError, match="a score and a memory to look at, or neither"):
        AttentionDecoder(V, None)
    with pytest.raises(ConfigError, match=r"values: expected a memory"):
        image_decoder().begin(None)
