"""The notes' encoder and decoder, made right: German number words in, letter by letter, English ones out.

Two LSTMs: the encoder's last states are all that the decoder is told (no attention, no bridge). In training it reads the true
letters (teacher forcing), so that all steps are one recurrence; in use it reads its own, one after the other.

    python examples/numbers_in_words.py
"""

from __future__ import annotations

import sys

import torch

from ostinato.data import CharVocabulary, MarkedVocabulary, TargetBatch, number_words, pad
from ostinato.models import Seq2Seq


def main(steps: int = 150) -> dict[str, float]:
    """Trains on the numbers from 0 to 99 but every seventh, and writes all; returns the shares that are right."""
    torch.manual_seed(0)
    german, english = number_words("de", 100), number_words("en", 100)
    source = MarkedVocabulary(CharVocabulary.build(german, 0))
    target = MarkedVocabulary(CharVocabulary.build(english, 0))

    def batch_of(numbers: list[int]) -> TargetBatch:
        input, lengths = pad([source.encode(german[n]) for n in numbers])  # (T_in, B): time first
        output, output_lengths = pad([target.encode(english[n]) for n in numbers])
        return TargetBatch(input, output, lengths, torch.tensor(numbers), target_lengths=output_lengths)

    parts = {"seen": [n for n in range(100) if n % 7 or n < 20], "never seen": [*range(21, 100, 7)]}
    batch = batch_of(parts["seen"])

    model = Seq2Seq(
        len(source),
        len(target),
        begin=target.begin,
        end=target.end,
        embedding_size=32,
        hidden_size=64,
        num_layers=2,
        dropout=0.1,
        cell="lstm",
        bidirectional=False,
        bridge="copy",
        attention=None,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(1, steps + 1):
        loss, _ = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step:3d}: {loss.item():.3f} nats a letter")

    right = {}
    for part, numbers in parts.items():
        batch = batch_of(numbers)
        written = [target.decode(each.tokens) for each in model.write(batch.input, batch.lengths)]
        right[part] = sum(text == english[n] for n, text in zip(numbers, written, strict=True)) / len(numbers)
        print(f"{part}: {right[part]:.0%} are right")
        for n, text in list(zip(numbers, written, strict=True))[::4][-4:]:
            print(f"{german[n]:>20} -> {text}")
    return right


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
