"""The smallest language model: four letters, three hidden units, one word. From "hell" it learns to say "ello".

    python examples/hello.py

Every letter is a one-hot vector. At each step the hidden state is made from the letter and the state before it, and the scores of
the next letter from the hidden state:

    h_t = tanh(W_xh x_t + W_hh h_{t-1} + b),   y_t = W_hy h_t

The letter l comes twice, and what follows it is l once and o once: only the hidden state tells the two apart.
"""

import torch
from torch import nn
from torch.nn import functional as F

import ostinato

LETTERS = "helo"


def one_hot(text: str) -> torch.Tensor:
    """(T, 4): a one for the letter of each step."""
    return F.one_hot(torch.tensor([LETTERS.index(letter) for letter in text]), len(LETTERS)).float()


class Hello(nn.Module):
    """One recurrent layer, one linear layer."""

    def __init__(self, hidden_size: int = 3):
        super().__init__()
        self.recurrent = ostinato.RNN(len(LETTERS), hidden_size)
        self.output = nn.Linear(hidden_size, len(LETTERS))

    def forward(self, x, state=None):
        """(T, 4) in; hidden states (T, 3), scores (T, 4) and the last state out."""
        h, state = self.recurrent(x, state)
        return h, self.output(h), state


def learn(model: Hello, text: str = "hello", steps: int = 200) -> float:
    """Each letter is to be followed by the next; returns the last loss, in nats a letter."""
    x = one_hot(text[:-1])
    wanted = torch.tensor([LETTERS.index(letter) for letter in text[1:]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    loss = torch.tensor(0.0)
    for _ in range(steps):
        loss = F.cross_entropy(model(x)[1], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@torch.no_grad()
def table(model: Hello, text: str = "hell") -> str:
    """What goes in, the hidden state and the scores at each step; the best is what comes out."""
    h, scores, _ = model(one_hot(text))
    lines = [f"in   one-hot   {'hidden state':^20}   {'   '.join(f'{letter:>4}' for letter in LETTERS)}   out"]
    for letter, x, state, y in zip(text, one_hot(text), h, scores, strict=True):
        bits = " ".join(str(int(value)) for value in x)
        hidden = " ".join(f"{value:6.2f}" for value in state.tolist())
        outputs = "   ".join(f"{value:4.1f}" for value in y.tolist())
        lines.append(f"{letter}    {bits}   {hidden}   {outputs}   {LETTERS[int(y.argmax())]}")
    return "\n".join(lines)


@torch.no_grad()
def write(model: Hello, begin: str = "h", count: int = 4) -> str:
    """Each output is the next input."""
    written, state = begin, None
    for _ in range(count):
        _, scores, state = model(one_hot(written[-1]), state)
        written += LETTERS[int(scores[-1].argmax())]
    return written


def main() -> str:
    """Learns, prints, and returns what is written from "h"."""
    torch.manual_seed(0)
    model = Hello()
    print("before")
    print(table(model))
    loss = learn(model)
    print(f"\nafter; loss {loss:.4f} nats a letter")
    print(table(model))
    written = write(model)
    print(f"\nfrom h, each output the next input: {written}")
    return written


if __name__ == "__main__":
    main()
