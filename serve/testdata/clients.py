"""Talks to a server of the fake model with the clients that others publish.

Triton's two for the Open Inference Protocol; for TensorFlow Serving's REST API what its
documentation does.

python clients.py HTTP_ADDRESS GRPC_ADDRESS IMAGE DESCRIPTORS: IMAGE is all green, DESCRIPTORS are
the FileDescriptorSet of what the server speaks.
"""

import base64
import gzip
import json
import sys

import numpy as np
import requests
import triton_extensions
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException


def check(got, want):
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


def refused(call, words):
    try:
        call()
    except InferenceServerException as e:
        assert words in e.message(), e
    else:
        raise AssertionError(f"not refused: {words}")


def triton(module, client, image):
    """What both of Triton's clients can do; image is the bytes of one."""
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("fake") and client.is_model_ready("fake", "1")
    assert not client.is_model_ready("none") and not client.is_model_ready("fake", "2")
    get = (lambda message, key: message[key]) if module is http else getattr
    assert get(client.get_server_metadata(), "name") == "kerasrun"
    metadata = client.get_model_metadata("fake")
    assert [get(t, "name") for t in get(metadata, "inputs")] == ["images"]
    assert [get(t, "datatype") for t in get(metadata, "inputs")] == ["FP32"]
    assert [int(n) for n in get(get(metadata, "inputs")[0], "shape")] == [-1, 2, 2, 3]

    images = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    want = images.reshape(2, 4, 3).sum(axis=1)
    tensor = module.InferInput("images", [2, 2, 2, 3], "FP32")
    tensor.set_data_from_numpy(images)
    result = client.infer("fake", [tensor], request_id="7")
    check(result.as_numpy("logits"), want)
    assert get(result.get_response(), "id") == "7"
    wanted = [
        module.InferRequestedOutput("logits"),
        module.InferRequestedOutput("probs", class_count=1),
    ]
    result = client.infer("fake", [tensor], outputs=wanted)
    check(result.as_numpy("logits"), want)
    assert [row[0].split(b":")[1:] for row in result.as_numpy("probs")] == [
        [b"2", b"blue"],
        [b"2", b"blue"],
    ]

    # Images as they are, in place of tensors.
    images = module.InferInput("images", [2], "BYTES")
    images.set_data_from_numpy(np.array([image, image], dtype=np.object_))
    check(client.infer("fake", [images]).as_numpy("probs"), [[0, 1, 0], [0, 1, 0]])

    # Every type and another signature.
    tag, signal, on = (
        module.InferInput(n, s, d)
        for n, s, d in [("tag", [1], "BYTES"), ("signal", [1, 3], "INT32"), ("on", [1], "BOOL")]
    )
    tag.set_data_from_numpy(np.array(["é".encode()], dtype=np.object_))
    signal.set_data_from_numpy(np.array([[1, -2, 3]], dtype=np.int32))
    on.set_data_from_numpy(np.array([True]))
    result = client.infer("fake", [tag, signal, on], parameters={"signature_name": "echo"})
    check(result.as_numpy("signal"), [[1, -2, 3]])
    check(result.as_numpy("on"), [True])
    assert result.as_numpy("tag")[0] == "é".encode()

    tensor = module.InferInput("images", [1, 2, 2, 4], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 2, 2, 4), np.float32))
    refused(lambda: client.infer("fake", [tensor]), "expected (-1, 2, 2, 3), got (1, 2, 2, 4)")
    refused(lambda: client.infer("none", [tensor]), "Servable not found")


def only_http(address, image):
    client = http.InferenceServerClient(address)
    triton(http, client, image)
    triton_extensions.extensions(http, client, image)
    tensor = http.InferInput("images", [1, 2, 2, 3], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 2, 2, 3), np.float32), binary_data=False)
    output = http.InferRequestedOutput("logits", binary_data=False)
    for compression in None, "gzip", "deflate":
        result = client.infer(
            "fake", [tensor], outputs=[output], request_compression_algorithm=compression
        )
        check(result.as_numpy("logits"), [[4, 4, 4]])
    many = [client.async_infer("fake", [tensor]) for _ in range(20)]
    for request in many:
        check(request.get_result().as_numpy("logits"), [[4, 4, 4]])
    client.close()


def only_grpc(address, image):
    client = grpc.InferenceServerClient(address)
    triton(grpc, client, image)
    triton_extensions.extensions(grpc, client, image)
    triton_extensions.stream(grpc, client)
    # Typed contents rather than raw ones, which Triton's client never sends.
    stub = client._client_stub
    request = service_pb2.ModelInferRequest(model_name="fake")
    tensor = request.inputs.add(name="images", datatype="FP32", shape=[1, 2, 2, 3])
    tensor.contents.fp32_contents.extend([1.0] * 12)
    check(np.frombuffer(stub.ModelInfer(request).raw_output_contents[0], np.float32), [4, 4, 4])
    client.close()


def serving(url, image):
    """Requests as TensorFlow Serving's documentation writes them."""
    model = url + "/v1/models/fake"
    half = {"signature_name": "half_plus_two"}
    answer = requests.post(
        model + ":predict", data=json.dumps(half | {"instances": [1.0, 2.0, 5.0]})
    )
    assert answer.json() == {"predictions": [2.5, 3.0, 4.5]}, answer.text
    answer = requests.post(
        model + "/versions/1:predict",
        data=json.dumps(half | {"inputs": {"x": [float("nan"), 2.0]}}),
    )
    assert np.isnan(answer.json()["outputs"][0]) and answer.json()["outputs"][1] == 3.0
    b64 = {"b64": base64.b64encode(image).decode()}
    answer = requests.post(model + ":predict", json={"instances": [b64, {"b64": b64["b64"]}]})
    assert [row["probs"] for row in answer.json()["predictions"]] == [[0, 1, 0], [0, 1, 0]], (
        answer.text
    )
    answer = requests.post(model + ":classify", json={"examples": [{"images": b64}]})
    assert answer.json()["results"][0][0] == ["green", 1.0], answer.text
    body = gzip.compress(json.dumps(half | {"instances": [4.0]}).encode())
    answer = requests.post(model + ":predict", data=body, headers={"Content-Encoding": "gzip"})
    assert answer.json() == {"predictions": [4.0]}
    status = requests.get(model).json()["model_version_status"]
    assert status == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
    metadata = requests.get(model + "/metadata").json()["metadata"]["signature_def"][
        "signature_def"
    ]
    assert metadata["serving_default"]["inputs"]["images"]["dtype"] == "DT_FLOAT"
    answer = requests.post(url + "/v1/models/half:predict", data='{"instances": [1.0,5.0]}')
    assert answer.status_code == 404 and answer.json() == {
        "error": "Servable not found for request: Latest(half)"
    }


def people(url, image):
    for answer in (
        requests.post(url + "/classify", data=image),
        requests.post(url + "/classify", files={"file": ("green.png", image, "image/png")}),
    ):
        assert answer.json()["predictions"][0] == {
            "index": 1,
            "id": "n1",
            "name": "green",
            "probability": 1,
        }, answer.text


def main():
    http_address, grpc_address, path, descriptors = sys.argv[1:]
    triton_extensions.descriptors(descriptors)
    with open(path, "rb") as f:
        image = f.read()
    only_http(http_address, image)
    only_grpc(grpc_address, image)
    serving("http://" + http_address, image)
    people("http://" + http_address, image)


main()
