"""Runs an exported transcriber: python run.py FILE ..., each an .npy of a recording (steps, channels) or a picture of a line."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from recordings import steps_of


class Model:
    def __init__(self, folder=Path(__file__).parent):
        folder = Path(folder)
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        self.known = json.loads((folder / "constants.json").read_text(encoding="utf-8"))
        file = folder / card["graphs"]["transcriber"]["file"]
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def transcribe(self, values, times=None):
        """The text of a recording, (steps, channels), and [unit, first step, step after the last] of each of its units."""
        stack, stride = self.known["stack"], self.known["stride"]
        steps = steps_of(self.known["scaling"], values, times)
        count = -(-len(steps) // stride)
        steps = np.pad(steps, ((0, max(0, (count - 1) * stride + stack - len(steps))), (0, 0)))
        frames = steps[np.arange(count)[:, None] * stride + np.arange(stack)].reshape(count, 1, -1)
        log_probs = self.session.run(None, {"frames": frames, "lengths": np.array([count])})[0][:, 0]
        found = []
        before = 0
        for frame, unit in enumerate(log_probs.argmax(1).tolist()):
            if unit and unit == before:
                found[-1][2] = min((frame + 1) * stride, len(values))
            elif unit:
                found.append([self.known["units"][unit], frame * stride, min((frame + 1) * stride, len(values))])
            before = unit
        joint = " " if self.known["tokens"] == "word" else ""
        return {"text": joint.join(unit for unit, _, _ in found), "units": found}

    def transcribe_picture(self, pixels):
        """The same of a line of text, (height, width) grey from 0 to 255, dark on light or light on dark."""
        if self.known["height"] is None:
            raise SystemExit("this model reads recordings, not pictures")
        from PIL import Image

        pixels, height = np.asarray(pixels, np.uint8), self.known["height"]
        if len(pixels) != height:
            size = max(1, round(pixels.shape[1] * height / len(pixels))), height
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        values = pixels.astype(np.float32) / 255.0
        paper, (dark, light) = np.median(values), np.quantile(values, (0.01, 0.99))
        ink = paper - values if paper - dark >= light - paper else values - paper
        return self.transcribe((ink / max(paper - dark, light - paper, 0.05)).T)


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        raise SystemExit(__doc__)
    model = Model()
    for file in sys.argv[1:]:
        if file.endswith(".npy"):
            found = model.transcribe(np.load(file))
        else:
            from PIL import Image

            found = model.transcribe_picture(Image.open(file).convert("L"))
        print(json.dumps({"file": file, **found}, ensure_ascii=False))


if __name__ == "__main__":
    main()
