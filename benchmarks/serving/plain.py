"""What people write: FastAPI around torch.nn, a dictionary of states, a lock, one step a request.

`python -m benchmarks.serving.plain PORT UNITS TOKENS`; it listens when it prints a line.
"""

from __future__ import annotations

import asyncio
import sys
import uuid

import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

PORT, UNITS, TOKENS = (int(word) for word in sys.argv[1:]) if __name__ == "__main__" else (0, 8, 8)
EMBEDDING = 64


class Step(BaseModel):
    token: int
    top: int = 10


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(TOKENS, EMBEDDING)
        self.recurrent = torch.nn.LSTM(EMBEDDING, UNITS)
        self.output = torch.nn.Linear(UNITS, TOKENS)

    def forward(self, token: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor] | None):
        h, state = self.recurrent(self.embedding(token), state)
        return self.output(h), state


app = FastAPI()
model = Model().eval()
states: dict[str, tuple[torch.Tensor, torch.Tensor] | None] = {}
lock = asyncio.Lock()


@app.post("/sessions", status_code=201)
async def begin() -> dict:
    session = uuid.uuid4().hex
    states[session] = None
    return {"id": session}


@app.post("/sessions/{session}/steps")
async def steps(session: str, step: Step) -> dict:
    async with lock:
        if session not in states:
            raise HTTPException(404, "no such session")
        with torch.inference_mode():
            logits, states[session] = model(torch.tensor([[step.token]]), states[session])
            p, tokens = logits[0, 0].softmax(-1).topk(step.top)
    return {"next": [{"token": token, "p": each} for token, each in zip(tokens.tolist(), p.tolist(), strict=True)]}


class Telling(uvicorn.Server):
    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)  # on two cores that are shared with the load it is the faster
    Telling(uvicorn.Config(app, port=PORT, log_level="warning", access_log=False)).run()
