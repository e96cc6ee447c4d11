"""Texts that are written in sessions, or without a session."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from ostinato.serving.errors import BadRequestError, ServingError, TooLargeError, UnavailableError
from ostinato.serving.generating import Generating, Piece
from ostinato.serving.kinds.language import LanguageKind, Scored
from ostinato.serving.sessions.pieces import Held, Pieces
from ostinato.serving.sessions.session import Session
from ostinato.serving.sessions.turns import Turns, answered, digest_of, for_clients, key_of
from ostinato.serving.stepping.job import Copy, Job
from ostinato.serving.stepping.writing import Writing

_ENDS = "the service ends"
_NEXT = 10  # how many of the most likely next tokens are returned after a text


class Texts(Turns):
    """The writing and scoring of texts by a language model."""

    async def write(self, owner: str, id: str, how: Generating, key: str | None, prompt: str) -> AsyncIterator[Piece]:
        """Write text in a session."""
        kind = self._writer(how, prompt)
        unit = kind.unit_of(how.unit)
        tokens = kind.tokens(prompt, self.keeping.limits.max_tokens, "prompt")
        digest = digest_of("write", {"how": repr(how), "prompt": prompt}, key)
        said: list[str] | None = None if key is None else []
        pieces = Pieces()

        def tell(piece: Piece) -> None:
            if said is not None:
                said.append(piece.text)
            pieces.put(piece)

        held = Held(tell) if self.keeping.packs() else None
        writing = self._writing(how, tell if held is None else held.put, reads_last=True, unit=unit)
        pieces.on_full = self._holding(writing)
        session = await self.keeping.hold(owner, id)
        try:
            before = answered(session, key, digest)
            if before is not None:
                self.keeping.release(session)
            elif not tokens:
                tokens = kind.first_tokens(session.step)
        except BaseException:
            self.keeping.release(session)
            raise
        if before is not None:
            yield Piece(**json.loads(before))
            return
        writing.first, writing.prompt = session.step, len(tokens)
        if held is not None:
            held.before = len(tokens)
        refused: list[BaseException] = []

        def copied(copy: Copy) -> None:
            def kept(lost: BaseException | None) -> None:
                job.copying = False
                if lost is None and held is not None:
                    held.reach(copy.at)
                elif lost is not None and self.keeping.is_shared:  # another replica has the session now
                    refused.append(lost)
                    self._leave(job)

            self.keeping.keep_copy(session, copy, kept)

        def done(job: Job) -> None:
            session.step += job.at
            last = writing.last() if job.error is None else None
            if last is not None:
                last.step = session.step
                last.more = {"saved": self.keeping.saved(session)}
                if job.said:
                    last.more.update(kind.told(job.said[-1], job))
                if key is not None and said is not None:
                    rest = "" if held is None else held.text
                    whole_text = Piece("".join(said) + rest + last.text, finish=last.finish, step=last.step)
                    whole_text.prompt_tokens, whole_text.tokens = last.prompt_tokens, last.tokens
                    told = {n: getattr(whole_text, n) for n in ("text", "finish", "step", "prompt_tokens", "tokens")}
                    told["more"] = last.more
                    session.key = key_of(key, digest, json.dumps(told, ensure_ascii=False).encode())

            def ended(lost: BaseException | None) -> None:
                if lost is None and held is not None:
                    held.reach(job.at)
                if lost is not None:
                    pieces.end(for_clients(refused[0] if refused else lost))
                elif job.error is not None:
                    pieces.end(self._ended(session, job.error))
                elif last is not None:
                    pieces.put(last)
                    pieces.end()

            self._finish(session, job, ended, new=False, changed=job.at > 0 or key is not None)

        packs = self.keeping.packs()
        job = Job(
            session.row, tokens, done=done, writing=writing, packs=packs, asked=_NEXT, copied=copied, copies=packs
        )
        self._submit(session, job)
        try:
            while (piece := await pieces.next()) is not None:
                yield piece
        finally:
            self._leave(job)

    async def score(self, prompt: str | list[int], top: int) -> list[Piece]:
        """Return the tokens of a text, all but the first with the log probability and the most likely alternatives."""
        keeping, kind = self.keeping, self._writer(Generating(max_tokens=0), prompt)
        tokens = kind.given(prompt, keeping.limits.max_tokens)
        keeping.check()
        if not tokens:
            return []
        keeping.queued += 1
        row = keeping.rows.take()
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

        def done(job: Job) -> None:
            keeping.queued -= 1
            keeping.rows.give(row)
            if future.done():
                return
            if job.error is not None:
                future.set_exception(for_clients(job.error))
            else:
                future.set_result(job.said)

        asked = [*tokens[1:], tokens[0]]  # the token after each step; any will do after the last
        keeping.stepper.submit(Job(row, tokens, done=done, every=True, asked=Scored(asked, top)))
        return kind.scored(tokens, await future)

    async def generate(self, prompt: str | list[int], how: Generating) -> AsyncIterator[Piece]:
        """Write text without a session."""
        keeping, kind = self.keeping, self._writer(how, prompt)
        unit = kind.unit_of(how.unit)
        tokens = kind.given(prompt, keeping.limits.max_tokens) or kind.first_tokens(0)
        keeping.check()
        keeping.queued += 1
        row = keeping.rows.take()
        pieces = Pieces()
        writing = self._writing(how, pieces.put, reads_last=False, unit=unit)
        pieces.on_full = self._holding(writing)

        def done(job: Job) -> None:
            keeping.queued -= 1
            keeping.counts["steps"] += job.at
            keeping.rows.give(row)
            if job.error is not None:
                pieces.end(for_clients(job.error))
            else:
                pieces.put(writing.last())
                pieces.end()

        writing.prompt = len(tokens)
        job = Job(row, tokens, done=done, writing=writing)
        keeping.stepper.submit(job)
        try:
            while (piece := await pieces.next()) is not None:
                yield piece
        finally:
            self._leave(job)

    def _ended(self, session: Session, error: BaseException) -> BaseException:
        """Return the error that ended a text, with the step that the session has reached."""
        found = for_clients(error)
        if isinstance(found, ServingError):
            step, saved = session.step, max(session.saved, 0)
            message = (
                f"{_ENDS}; the session is at step {step}, go on from there"
                if isinstance(found, UnavailableError)
                else found.message
            )
            details = {**found.details, "step": step, "saved": saved}
            return type(found)(message, param=found.param, retry_after=found.retry_after, **details)
        return found

    def _leave(self, job: Job) -> None:
        """Cancel a job whose text is not read any more."""
        job.cancelled = True
        if job.writing is not None and job.writing.full:
            self.keeping.stepper.wake()

    def _holding(self, writing: Writing) -> Callable[[bool], None]:
        """Return a function that pauses a text while its queue is full."""

        def on_full(is_full: bool) -> None:
            writing.full = is_full
            if not is_full:
                self.keeping.stepper.wake()

        return on_full

    def _writer(self, how: Generating, prompt: Any) -> LanguageKind:
        if not isinstance(self.kind, LanguageKind):
            raise BadRequestError(
                f"the model is of the task {self.kind.task}, which writes no text in sessions", param="model"
            )
        if how.max_tokens > self.keeping.limits.max_tokens:
            raise TooLargeError(
                f"max_tokens: expected at most {self.keeping.limits.max_tokens}, got {how.max_tokens}",
                param="max_tokens",
            )
        return self.kind

    def _writing(
        self,
        how: Generating,
        tell: Callable[[Piece], None],
        *,
        reads_last: bool,
        unit: tuple[int, str, int] | None,
    ) -> Writing:
        assert isinstance(self.kind, LanguageKind)
        seed = secrets.randbits(63) if how.seed is None else how.seed
        return Writing(how, seed, self.kind.vocabulary.decoder(), tell, reads_last=reads_last, unit=unit)
