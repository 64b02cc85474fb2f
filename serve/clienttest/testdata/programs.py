"""Makes calls with the programs that people have for it, and says what came of each.

python programs.py CLIENT HTTP_ADDRESS GRPC_ADDRESS, in a directory as served.py has it. nginx and
envoy stand in front of the server, at one address, and curl and grpcurl call them there:
python programs.py nginx ADDRESS CERTIFICATE, python programs.py envoy ADDRESS.
"""

import base64
import json
import re
import subprocess
from pathlib import Path

import numpy as np
from served import CLASSIFICATION, EXPECTED, IMAGE, MODEL, REASONS, Refused, best, named, run, show

B64 = base64.b64encode(IMAGE).decode()
PREDICT = f"/v1/models/{MODEL}:predict"
SMALL = [[[1.0] * 3] * 2] * 2


def out_of(*arguments, body=None, statuses=(0,)):
    """Runs a program and returns what it wrote, to standard error too."""
    done = subprocess.run(arguments, input=body, capture_output=True)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode in statuses, f"{arguments}: {done.returncode}\n{text}"
    return text


def checked(text):
    """Holds an answer of /classify, or of TensorFlow Serving's `:predict`."""
    first = json.loads(text)["predictions"][0]
    if "probs" in first:
        return best(first["probs"])
    return named(first["name"], first["probability"])


def instances(b64):
    return json.dumps({"instances": [{"b64": b64}]}).encode()


IMAGE_OF = ["--data-binary", "@cat.jpg"]
DATA = ["--data-binary", "@-"]


class Web:
    """A server's address, and how curl gets there."""

    def __init__(self, url, *options):
        self.url, self.options = url, options

    def ask(self, *arguments, to="/classify", body=None, version=None):
        """Holds the answer, and the version of HTTP, to what they should be."""
        written = "\n%{http_code} %{http_version}"
        command = ["curl", "-s", "-w", written, *self.options, *arguments, self.url + to]
        text, _, end = out_of(*command, body=body).rpartition("\n")
        code, spoken = end.split()
        assert version in (None, spoken), f"got HTTP/{spoken}, want HTTP/{version}"
        if code != "200":
            raise Refused(code, text)
        return checked(text)

    def small(self):
        body = json.dumps({"instances": [SMALL]}).encode()
        return self.ask(*DATA, to=PREDICT, body=body)

    def none(self):
        return self.ask(*DATA, to="/v1/models/none:predict", body=instances(B64))

    def on_one_connection(self):
        each = ["-s", "-w", "\n%{num_connects}\n", *self.options, *IMAGE_OF, self.url + "/classify"]
        lines = out_of("curl", *each, "--next", *each).splitlines()
        answers = [line for line in lines if line.startswith("{")]
        made = [line for line in lines if line in ("0", "1")]
        assert len(answers) == 2 and made == ["1", "0"], lines
        checked(answers[0])
        return checked(answers[1])


def curl(http_address, grpc_address):
    web = Web("http://" + http_address)
    lines = base64.encodebytes(IMAGE).decode()
    prior = "--http2-prior-knowledge"
    for name, call in {
        "-F file=@": lambda: web.ask("-F", "file=@cat.jpg"),
        "-F file=@ -F top=1": lambda: web.ask("-F", "file=@cat.jpg", "-F", "top=1"),
        "--data-binary @": lambda: web.ask(*IMAGE_OF, version="1.1"),
        "--data-binary @ (7 MB)": lambda: web.ask("--data-binary", "@padded.jpg"),
        "--http2-prior-knowledge": lambda: web.ask(prior, *IMAGE_OF, version="2"),
        "-T - (chunked)": lambda: web.ask("-X", "POST", "-T", "-", body=IMAGE),
        "--next (one connection)": web.on_one_connection,
        "instances, b64": lambda: web.ask(*DATA, to=PREDICT, body=instances(B64)),
        "instances, b64 with line breaks": lambda: web.ask(
            *DATA, to=PREDICT, body=instances(lines)
        ),
        "instances (another shape)": web.small,
        "instances (no such model)": web.none,
        "--data-binary @ (too large)": lambda: web.ask("--data-binary", "@large"),
        "no JSON": lambda: web.ask(*DATA, to=PREDICT, body=b"{"),
        "no image": lambda: web.ask(*DATA, body=b"no image"),
        "of a page elsewhere": lambda: web.ask("-H", "Sec-Fetch-Site: cross-site", *IMAGE_OF),
    }.items():
        show(name, call)


def predicted(http_address):
    """How many rows the server has said to be of the expected class, by its own count."""
    text = out_of("curl", "-s", f"http://{http_address}/metrics")
    lines = re.findall(r'^kerasrun_predicted_class_total{class="(\d+)".*} (\d+)$', text, re.M)
    other = [n for n, _ in lines if int(n) != EXPECTED["index"]]
    assert not other, f"classes that no image of the test has: {other}"
    return sum(int(count) for _, count in lines)


def counted(http_address, requests, call):
    """Holds a program that does not show answers to as many of the expected class."""
    before = predicted(http_address)
    call()
    got = predicted(http_address) - before
    assert got == requests, f"got {got} answers of the class, want {requests}"
    return "answers"


def hey(http_address, grpc_address):
    url = "http://" + http_address

    def ask(to, *arguments):
        load = ["-n", "24", "-c", "4", "-m", "POST"]
        text = out_of("hey", *load, *arguments, url + to)
        codes = re.findall(r"\[(\d+)\]\s+(\d+) responses", text)
        assert [n for _, n in codes] == ["24"] and "Error distribution" not in text, text
        if codes[0][0] != "200":
            raise Refused(codes[0][0], text)

    image = ["-D", "cat.jpg"]
    small = ["-d", json.dumps({"instances": [SMALL]})]
    for name, call in {
        "-D": lambda: counted(http_address, 24, lambda: ask("/classify", *image)),
        "-D -disable-keepalive": lambda: counted(
            http_address, 24, lambda: ask("/classify", "-disable-keepalive", *image)
        ),
        "-d (another shape)": lambda: ask(PREDICT, *small),
        "-d (no such model)": lambda: ask("/v1/models/none:predict", *small),
        "-D (too large)": lambda: ask("/classify", "-D", "large"),
    }.items():
        show(name, call)


def vegeta(http_address, grpc_address):
    def ask(*arguments, to="/classify", body="cat.jpg"):
        load = ["-rate", "20", "-duration", "1s", "-body", body, *arguments]
        target = f"POST http://{http_address}{to}\n".encode()
        attack = subprocess.run(
            ["vegeta", "attack", *load], input=target, capture_output=True, check=True
        )
        lines = out_of("vegeta", "encode", "-to", "json", body=attack.stdout).splitlines()
        results = [json.loads(line) for line in lines]
        assert results, attack.stderr  # on a busy machine it does not keep its rate
        for result in results:
            if result["code"] != 200:
                raise Refused(result["code"] or result["error"], decoded(result))
            first = json.loads(decoded(result))["predictions"][0]
            # in batches, whose sums are added up in another order
            near = abs(first["probability"] - EXPECTED["probability"]) <= 1e-5
            assert first["name"] == EXPECTED["name"] and near, first
        return "answers"

    def decoded(result):
        return base64.b64decode(result["body"] or "").decode()

    Path("small.json").write_text(json.dumps({"instances": [SMALL]}))
    for name, call in {
        "attack -body": ask,
        "attack -body -h2c": lambda: ask("-h2c"),
        "attack -body -chunked": lambda: ask("-chunked"),
        "attack (another shape)": lambda: ask(to=PREDICT, body="small.json"),
        "attack (no such model)": lambda: ask(to="/v1/models/none:predict", body="small.json"),
        "attack (too large)": lambda: ask(body="large"),
    }.items():
        show(name, call)


OIP, SERVING = "inference.GRPCInferenceService/", "tensorflow.serving.PredictionService/"


def oip(b64=B64, model=MODEL):
    """A request of the Open Inference Protocol for an image's class, in protobuf's JSON."""
    images = {"name": "images", "datatype": "BYTES", "shape": [1]}
    classes = {"name": "probs", "parameters": {"classification": {"int64_param": 1}}}
    return {
        "model_name": model, "outputs": [classes],
        "inputs": [images | {"contents": {"bytes_contents": [b64]}}],
    }  # fmt: skip


def small():
    x = {"name": "images", "datatype": "FP32", "shape": [1, 2, 2, 3]}
    return {"model_name": MODEL, "inputs": [x | {"contents": {"fp32_contents": [1.0] * 12}}]}


def b64_of(path):
    return base64.b64encode(Path(path).read_bytes()).decode()


class RPC:
    """A server's address, and how grpcurl gets there."""

    def __init__(self, address, *options):
        self.address, self.options = address, options

    def call(self, method, request):
        done = subprocess.run(
            ["grpcurl", *self.options, "-d", "@", self.address, method],
            input=json.dumps(request).encode(), capture_output=True,
        )  # fmt: skip
        if done.returncode != 0:
            text = done.stderr.decode()
            code = re.search(r"Code: (\w+)", text)
            assert code, text
            raise Refused(code[1], text)
        return json.loads(done.stdout)

    def classified(self, b64=B64, model=MODEL, stream=False):
        method = "ModelStreamInfer" if stream else "ModelInfer"
        answer = self.call(OIP + method, oip(b64, model))
        answer = answer["inferResponse"] if stream else answer
        content = base64.b64decode(answer["rawOutputContents"][0])
        assert content[4:].decode() == CLASSIFICATION, content  # behind its length
        return "answers"

    def predict(self):
        images = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": 1}]}}
        inputs = {"images": images | {"string_val": [B64]}}
        answer = self.call(SERVING + "Predict", {"model_spec": {"name": MODEL}, "inputs": inputs})
        return best(answer["outputs"]["probs"]["floatVal"])

    def small(self):
        return self.call(OIP + "ModelInfer", small())

    def says(self, word, *arguments):
        text = out_of("grpcurl", *self.options, self.address, *arguments)
        assert word in text, text
        return "answers"


def grpcurl(http_address, grpc_address):
    rpc = RPC(grpc_address, "-plaintext")
    for name, call in {
        "list": lambda: rpc.says("inference.GRPCInferenceService", "list"),
        "describe": lambda: rpc.says("rpc ModelInfer", "describe", OIP[:-1]),
        "Health/Check": lambda: rpc.says("SERVING", "grpc.health.v1.Health/Check"),
        "ServerReady": lambda: rpc.says("true", OIP + "ServerReady"),
        "ModelInfer": rpc.classified,
        "ModelInfer (7 MB)": lambda: rpc.classified(b64_of("padded.jpg")),
        "ModelStreamInfer": lambda: rpc.classified(stream=True),
        "Predict": rpc.predict,
        "ModelInfer (another shape)": rpc.small,
        "ModelInfer (no such model)": lambda: rpc.classified(model="none"),
        "ModelInfer (too large)": lambda: rpc.classified(b64_of("large")),
    }.items():
        show(name, call)


def proxied(web, http2, rpc):
    """Makes calls through what stands in front: http2 are curl's arguments for it."""
    for name, call in {
        "HTTP/1.1": lambda: web.ask("--http1.1", *IMAGE_OF, version="1.1"),
        "HTTP/2": lambda: web.ask(*http2, *IMAGE_OF, version="2"),
        "HTTP/2 (7 MB)": lambda: web.ask(*http2, "--data-binary", "@padded.jpg"),
        "chunked": lambda: web.ask("--http1.1", "-X", "POST", "-T", "-", body=IMAGE),
        "two requests on a connection": web.on_one_connection,
        "gRPC ModelInfer": rpc.classified,
        "gRPC ModelInfer (7 MB)": lambda: rpc.classified(b64_of("padded.jpg")),
        "gRPC ModelStreamInfer": lambda: rpc.classified(stream=True),
        "gRPC Predict": rpc.predict,
        "gRPC Health/Check": lambda: rpc.says("SERVING", "grpc.health.v1.Health/Check"),
        "HTTP (another shape)": web.small,
        "HTTP (no such model)": web.none,
        "HTTP (too large)": lambda: web.ask("--http1.1", "--data-binary", "@large"),
        "gRPC (another shape)": rpc.small,
        "gRPC (no such model)": lambda: rpc.classified(model="none"),
        "gRPC (too large)": lambda: rpc.classified(b64_of("large")),
    }.items():
        show(name, call)


def nginx(address, certificate):
    host = "images.example"
    way = ["--cacert", certificate, "--connect-to", f"{host}:443:{address}"]
    web = Web("https://" + host, *way)
    proxied(web, ["--http2"], RPC(address, "-cacert", certificate, "-authority", host))


def envoy(address):
    web = Web("http://" + address, "-H", "Host: images.example")
    proxied(web, ["--http2-prior-knowledge"], RPC(address, "-plaintext"))


def ghz(http_address, grpc_address):
    def ask(request):
        Path("request.json").write_text(json.dumps(request))
        text = out_of(
            "ghz", "--insecure", "--call", OIP + "ModelInfer", "-D", "request.json", "-n", "24",
            "-c", "4", "--format", "json", grpc_address,
        )  # fmt: skip
        report = json.loads(text)
        codes = report["statusCodeDistribution"]
        assert list(codes.values()) == [24], text
        if "OK" not in codes:
            raise Refused(*codes, str(report["errorDistribution"]))

    for name, call in {
        "ModelInfer": lambda: counted(http_address, 24, lambda: ask(oip())),
        "ModelInfer (another shape)": lambda: ask(small()),
        "ModelInfer (no such model)": lambda: ask(oip(model="none")),
        "ModelInfer (too large)": lambda: ask(oip(b64_of("large"))),
    }.items():
        show(name, call)


def perf_analyzer(http_address, grpc_address):
    """It holds answers to those that it is given, and reports what the server counts."""
    text = out_of("curl", "-s", *DATA, f"http://{http_address}{PREDICT}", body=instances(B64))
    (answer,) = json.loads(text)["predictions"]
    best(answer["probs"])
    tensor = base64.b64encode(np.load("x.npy").tobytes()).decode()
    http, grpc = ["-i", "http", "-u", http_address], ["-i", "grpc", "-u", grpc_address]

    def analyze(*options, model=MODEL, want=None):
        data = {"data": [{"images": {"b64": tensor}}]}
        if want is not None:
            data["validation_data"] = [want]
        Path("data.json").write_text(json.dumps(data))
        load = ["-m", model, "--input-data", "data.json", "--request-count", "8", *options]
        return out_of("perf_analyzer", *load, statuses=(0, 99))

    def ask(*options, images=8, **given):
        text = analyze(*options, **given)
        if any(word in text for words in REASONS.values() for word in words):
            raise Refused("exit 99", text)
        assert f"Inference count: {images}\n" in text, text

    text = analyze(*http, want=answer | {"probs": answer["probs"][::-1]})
    assert "doesn't match expected" in text, "perf_analyzer takes any answer for the right one"
    # Where requests are joined, answers may differ in their last bits.
    for name, call in {
        "-i http": lambda: ask(*http, want=answer),
        "-i grpc": lambda: ask(*grpc, want=answer),
        "-i grpc --streaming": lambda: ask(*grpc, "--async", "--streaming", want=answer),
        "-i grpc --grpc-compression-algorithm gzip": lambda: ask(
            *grpc, "--grpc-compression-algorithm", "gzip", want=answer
        ),
        "-i http --concurrency-range 4": lambda: ask(*http, "--concurrency-range", "4"),
        "-i grpc --async --concurrency-range 4": lambda: ask(
            *grpc, "--async", "--concurrency-range", "4"
        ),
        "-i http -b 4": lambda: ask(*http, "-b", "4", images=32),
        "-i http (no such model)": lambda: ask(*http, model="none"),
        "-i grpc (no such model)": lambda: ask(*grpc, model="none"),
        "-i http -b 20 (too large)": lambda: ask(*http, "-b", "20"),
        "-i grpc -b 20 (too large)": lambda: ask(*grpc, "-b", "20"),
    }.items():
        show(name, call)


if __name__ == "__main__":
    run(globals())
