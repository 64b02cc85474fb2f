"""Takes page.png, the page of `kerasrun serve` with a prediction on it, with headless Chromium.

python docs/images/page.py [--model models/efficientnet-lite0] [--image testdata/photos/cat.jpg]

The page is served through this script, which adds the drop of an image to it and passes the request
for a prediction on.
"""

import argparse
import http.server
import json
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
DROP = """<script>
fetch("image").then((r) => r.blob())
  .then((b) => classify(new File([b], "NAME", { type: "image/jpeg" })));
</script><img src="answered" alt="" hidden>"""


def handler(server: str, image: Path) -> type:
    answered = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/image":
                self.answer("image/jpeg", image.read_bytes())
                return
            if self.path == "/answered":  # Chromium waits for all that the page loads
                answered.wait(60)
                time.sleep(1)  # for the page to show it
                self.answer("text/plain", b"")
                return
            with urllib.request.urlopen(server + self.path) as asked:
                kind, page = asked.headers["Content-Type"], asked.read()
            if self.path == "/":
                page += DROP.replace("NAME", image.name).encode()
            self.answer(kind, page)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = urllib.request.urlopen(urllib.request.Request(server + self.path, body))
            self.answer("application/json", answer.read())
            answered.set()

        def answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="models/efficientnet-lite0")
    parser.add_argument("--image", type=Path, default=ROOT / "testdata/photos/cat.jpg")
    options = parser.parse_args()
    command = [
        "bin/kerasrun",
        "serve",
        "--model",
        options.model,
        "--samples",
        "testdata/photos",
        "--addr",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ]
    serve = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    address = ""
    for line in serve.stderr:
        entry = json.loads(line)
        address = entry.get("address", address)
        if entry["msg"] == "listening":
            break
    threading.Thread(target=serve.stderr.read, daemon=True).start()
    for _ in range(5):  # the times are those of a model that is warm
        urllib.request.urlopen(f"http://{address}/classify", options.image.read_bytes()).read()
    proxy = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), handler(f"http://{address}", options.image)
    )
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as profile:
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1000,940",
        ]
        flags += [f"--user-data-dir={profile}"]
        target = Path(__file__).with_name("page.png")
        page = f"http://127.0.0.1:{proxy.server_port}/"
        subprocess.run(
            ["chromium", *flags, f"--screenshot={target}", page],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        Image.open(target).convert("RGB").quantize(256).save(target, optimize=True)
    serve.terminate()
    serve.wait()


if __name__ == "__main__":
    main()
