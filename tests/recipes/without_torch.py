"""Calls the runner of an export where torch cannot be imported: `python without_torch.py FOLDER CALLS ANSWERS`.

CALLS is JSON, a list of [method, arguments, options]; ANSWERS gets the list of what they give.
"""

import importlib.abc
import json
import sys


class Refusing(importlib.abc.MetaPathFinder):
    """Raises for what a runner must do without."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "ostinato", "onnx", "onnxscript", "scipy"):
            raise ImportError(f"a runner needs no {name}")
        return


def use_one_thread():
    """As tests run beside others, whose cores threads that wait for work would take."""
    import onnxruntime

    make = onnxruntime.InferenceSession

    def session(*arguments, **named):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return make(*arguments, options, **named)

    onnxruntime.InferenceSession = session


def main(folder, calls, answers):
    sys.meta_path.insert(0, Refusing())
    sys.path.insert(0, folder)
    use_one_thread()
    import run

    model = run.Model(folder)
    with open(calls, encoding="utf-8") as file:
        asked = json.load(file)
    found = [getattr(model, name)(*arguments, **options) for name, arguments, options in asked]
    assert "torch" not in sys.modules
    with open(answers, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
