"""What the calls of clients have in common: the model that is served, the right answer, and how
what comes of a call is written.

A program of clients runs in a directory with cat.jpg, x.npy (its tensor), padded.jpg (the same
image in 7 MB), large (more bytes than a request may have), model (the SavedModel) and expected.json
(what `kerasrun classify` answers). It writes a line a call: the call, a tab, the result. An answer
that is wrong ends it.
"""

import faulthandler
import json
import struct
import sys
from pathlib import Path

MODEL = "efficientnet-lite0"
EXPECTED = json.loads(Path("expected.json").read_text())
IMAGE = Path("cat.jpg").read_bytes()
# What the server says of a tensor of another shape, of a model that it has not, and of a body over
# its limit: over HTTP, and by gRPC's own words.
REASONS = {
    "(another shape)": ["expected (-1, 224, 224, 3), got (1, 2, 2, 3)"],
    "(no such model)": ["Servable not found for request"],
    "(too large)": ["the body is over the limit of 8388608 bytes", "larger than max"],
}
# Triton's classification of it: value, index, label.
CLASSIFICATION = f"{EXPECTED['probability']:.6f}:{EXPECTED['index']}:{EXPECTED['name']}"


class Refused(Exception):
    """The answer of a client that has no exception for it: a status and what it shows."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def best(probabilities):
    """Holds a row of probabilities to the expected class and its probability, to the last bit."""
    assert len(probabilities) == 1000, len(probabilities)
    index = max(range(1000), key=lambda i: float(probabilities[i]))
    got, want = (index, as_float32(probabilities[index])), (EXPECTED["index"], probability())
    assert got == want, f"got {got}, want {want}"
    return "answers"


def named(name, value):
    """Holds a class by its name, as TensorFlow Serving's `:classify` gives it, or /classify."""
    got, want = (name, as_float32(value)), (EXPECTED["name"], probability())
    assert got == want, f"got {got}, want {want}"
    return "answers"


def as_float32(value):
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def probability():
    return as_float32(EXPECTED["probability"])


def show(name, call, refusals=()):
    """Writes what comes of a call, and whether a refusal shows the server's reason."""
    try:
        result = call()
    except (Refused, *refusals) as e:
        code = getattr(e, "code", None) or getattr(e, "status", None)
        if code is None and getattr(e, "response", None) is not None:
            code = e.response.status_code
        code = code() if callable(code) else code or type(e).__name__
        result = "refused: " + str(getattr(code, "name", code)).removeprefix("StatusCode.")
        words = next((REASONS[end] for end in REASONS if name.endswith(end)), [])
        if words and not any(word in shown(e) for word in words):
            print(f"{name}: {e!r:.300}", file=sys.stderr)
            result += ", without the reason"
    print(f"{name}\t{result if isinstance(result, str) else 'answers'}", flush=True)


def shown(error):
    """What a client's user reads of an error."""
    return f"{error} {getattr(error, 'details', lambda: '')() or ''}"


def run(clients):
    faulthandler.dump_traceback_later(150, exit=True)
    clients[sys.argv[1]](*sys.argv[2:])
