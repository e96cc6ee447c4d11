"""The command `ostinato`.

Only the chosen subcommand is imported, so that `ostinato --help` and `ostinato --version` answer at once.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "train": "train a model on your data, or on built-in data",
    "generate": "write text with a trained language model",
    "predict": "answer for new data with a trained model",
    "evaluate": "measure how good a trained model is on data",
    "explain": "show which steps, channels and words made an answer",
    "backtest": "measure forecasts that begin at several times of the test data",
    "serve": "serve trained models by HTTP, with sessions and a web page",
    "sweep": "search for good settings with many runs",
    "export": "write a trained model as ONNX or C, which need no torch",
    "inspect": "write a report of a run: curves, gradients, units, findings",
    "lab": "run experiments that check claims about recurrent networks",
    "completion": "print a script with which a shell completes commands and flags",
}

INTERRUPTED = 130
WRONG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: the words after the program's name; by default those of the process.

    Returns:
        The exit status: 0, 2 for an error that the user can mend (one line on standard error), 130 after an interrupt.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_what_is_closed()
    try:
        try:
            return _answer(words)
        finally:
            sys.stdout.flush()  # also after --help, which ends by SystemExit
    except BrokenPipeError:
        _let_go_of_the_output()  # the reader has closed the pipe
        return 0
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        if error.filename is not None:
            return _wrong(f"{os.fsdecode(error.filename)}: {reason}; check the name, the rights and the space")
        _let_go_of_the_output()
        return _wrong(f"the output cannot be written ({reason}); send it elsewhere")


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] in ("-V", "--version"):
        from ostinato.version import __version__

        print(f"ostinato {__version__}")
        return 0
    if words[0] not in COMMANDS:
        from ostinato.errors import did_you_mean

        hint = did_you_mean(words[0], COMMANDS)
        return _wrong(f"unknown command {words[0]}{hint} Expected one of {', '.join(COMMANDS)}")
    return _run(words[0], words[1:])


def _run(command: str, words: list[str]) -> int:
    from ostinato.errors import MissingPackageError, OstinatoError, PeerError
    from ostinato.training.loop.interrupt import terminable

    _write_any_character()
    # At the end a million objects are freed with the process, so Python need not search them for garbage.
    atexit.register(gc.freeze)
    try:
        with terminable():
            return importlib.import_module(f"ostinato.cli.{command}").main(words)
    except PeerError as error:
        return _stopped(error)
    except MissingPackageError as error:
        from ostinato.extras import for_command

        return _wrong(str(for_command(error, command)))
    except OstinatoError as error:
        return _wrong(" ".join(str(error).split()))
    except KeyboardInterrupt:
        print("\nostinato: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (MemoryError, RuntimeError) as error:
        if not _lacks_memory(error):
            raise
        from ostinato.training.distributed.launch import OF_MEMORY, is_watched

        status = _wrong(
            "there is not enough memory for that; choose smaller batches, shorter chunks or a smaller model"
        )
        return OF_MEMORY if is_watched() else status


def _open_what_is_closed() -> None:
    """Opens the null device for a standard stream that was closed at the start (`>&-`), for which Python has None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def _write_any_character() -> None:
    """Makes characters that the terminal's encoding lacks print as their numbers, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_the_output() -> None:
    """Sends what is still buffered to the null device, so that it does not fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lacks_memory(error: Exception) -> bool:
    """Whether an error means that memory is short: torch's errors differ in class, and the CPU allocator's has none."""
    return isinstance(error, MemoryError) or any(
        words in str(error)
        for words in ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
    )


def _stopped(error: Exception) -> int:
    """The exit status of a process that stops because another one has; one line of one process is enough."""
    from ostinato.training.distributed.launch import OF_A_PEER, is_watched, rank

    if rank() == 0 and not is_watched():
        _wrong(str(error))
    return OF_A_PEER


def _wrong(message: str) -> int:
    print(f"ostinato: {message}", file=sys.stderr)
    return WRONG


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ostinato COMMAND ...",
            "",
            "Recurrent networks for PyTorch, done right: a recurrence is written once.",
            "",
            *lines,
            "",
            "Begin with `ostinato train`, which lists the tasks. `ostinato COMMAND --help`",
            "tells more of a command, and `ostinato --version` which version this is.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
