"""Makes every call of a client that others publish, and says what came of each.

python calls.py CLIENT HTTP_ADDRESS GRPC_ADDRESS IMAGE writes a line a call: the call, a tab, the
result. IMAGE is all green; the server has the fake model. An answer that is wrong ends the program.
"""

import asyncio
import base64
import faulthandler
import inspect
import json
import logging
import subprocess
import sys

import numpy as np

ONES = np.ones((1, 2, 2, 3), np.float32)
GREEN = [[0.0, 1.0, 0.0]]


def equal(got, want):
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want))
    return "answers"


def show(name, call, refusals=Exception):
    try:
        result = call()
    except AssertionError:  # an answer that is wrong
        raise
    except refusals as e:
        code = getattr(e, "code", None) or getattr(e, "status", None)
        code = code() if callable(code) else code
        status = str(getattr(code, "name", code)).removeprefix("StatusCode.")
        result = f"refused: {status}"
    print(f"{name}\t{result if isinstance(result, str) else 'answers'}")


def triton(module, client, image):
    from tritonclient.utils import InferenceServerException

    def tensor():
        x = module.InferInput("images", [1, 2, 2, 3], "FP32")
        x.set_data_from_numpy(ONES)
        return x

    def images():
        x = module.InferInput("images", [1], "BYTES")
        x.set_data_from_numpy(np.array([image], dtype=np.object_))
        return x

    def infer(x=None, want=((4, 4, 4),), output="logits", **options):
        got = client.infer("fake", [x or tensor()], **options).as_numpy(output)
        return equal(got, want)

    def true(name, *arguments):
        return lambda: "true" if getattr(client, name)(*arguments) is True else "WRONG"

    def streamed():
        import queue

        answers = queue.Queue()
        client.start_stream(callback=lambda result, error: answers.put((result, error)))
        client.async_stream_infer("fake", [tensor()])
        result, error = answers.get(timeout=20)
        assert error is None, error
        client.stop_stream()
        return equal(result.as_numpy("logits"), [[4, 4, 4]])

    def asynchronous():
        if not hasattr(client, "start_stream"):
            result = client.async_infer("fake", [tensor()]).get_result()
        else:
            import queue

            answers = queue.Queue()
            client.async_infer("fake", [tensor()], lambda result, error: answers.put(result))
            result = answers.get(timeout=20)
        return equal(result.as_numpy("logits"), [[4, 4, 4]])

    def classes():
        wanted = module.InferRequestedOutput("probs", class_count=1)
        got = client.infer("fake", [images()], outputs=[wanted]).as_numpy("probs")
        return equal(got, [[b"1.000000:1:green"]])

    def region():
        x = module.InferInput("images", [1, 2, 2, 3], "FP32")
        x.set_shared_memory("region", 48)
        return client.infer("fake", [x])

    def region_output():
        wanted = module.InferRequestedOutput("logits")
        wanted.set_shared_memory("region", 12)
        return client.infer("fake", [tensor()], outputs=[wanted])

    compression = (
        "compression_algorithm" if hasattr(client, "start_stream") else
        "request_compression_algorithm"
    )  # fmt: skip
    calls = {
        "is_server_live": true("is_server_live"),
        "is_server_ready": true("is_server_ready"),
        "is_model_ready": true("is_model_ready", "fake"),
        "get_server_metadata": client.get_server_metadata,
        "get_model_metadata": lambda: client.get_model_metadata("fake"),
        "get_model_config": lambda: client.get_model_config("fake"),
        "get_inference_statistics": client.get_inference_statistics,
        "get_model_repository_index": client.get_model_repository_index,
        "get_trace_settings": client.get_trace_settings,
        "get_log_settings": client.get_log_settings,
        "infer": infer,
        "infer (BYTES of an image)": lambda: infer(images(), GREEN, "probs"),
        "infer (class_count)": classes,
        "infer (gzip)": lambda: infer(**{compression: "gzip"}),
        "infer (deflate)": lambda: infer(**{compression: "deflate"}),
        "infer (priority, timeout)": lambda: infer(priority=1, timeout=10_000_000),
        "infer (shared memory in)": region,
        "infer (shared memory out)": region_output,
        "infer (no such model)": lambda: client.infer("none", [tensor()]),
        "async_infer": asynchronous,
        "load_model": lambda: client.load_model("fake"),
        "unload_model": lambda: client.unload_model("fake"),
        "update_trace_settings": lambda: client.update_trace_settings(
            None, {"trace_level": ["TIMESTAMPS"]}
        ),
        "update_log_settings": lambda: client.update_log_settings({"log_verbose_level": 1}),
        "get_system_shared_memory_status": client.get_system_shared_memory_status,
        "get_cuda_shared_memory_status": client.get_cuda_shared_memory_status,
        "register_system_shared_memory": lambda: client.register_system_shared_memory(
            "region", "/region", 64
        ),
        "register_cuda_shared_memory": lambda: client.register_cuda_shared_memory(
            "region", b"aGFuZGxl", 0, 64
        ),
        "unregister_system_shared_memory": client.unregister_system_shared_memory,
        "unregister_cuda_shared_memory": client.unregister_cuda_shared_memory,
    }
    if hasattr(client, "start_stream"):
        calls["start_stream, async_stream_infer, stop_stream"] = streamed
    mine = {"close", "generate_request_body", "parse_response_body", "plugin", "register_plugin"}
    mine.add("unregister_plugin")  # which ask the server for nothing
    made = {word for name in calls for word in name.split(" (")[0].split(", ")}
    methods = {
        name
        for name, _ in inspect.getmembers(type(client), inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods - mine == made, (methods - mine) ^ made
    for name, call in calls.items():
        show(name, call, InferenceServerException)
    client.close()


def tritonclient_http(http_address, grpc_address, image):
    import tritonclient.http as module

    triton(module, module.InferenceServerClient(http_address), image)


def tritonclient_grpc(http_address, grpc_address, image):
    import tritonclient.grpc as module

    triton(module, module.InferenceServerClient(grpc_address), image)


def tensorflow_serving(http_address, grpc_address, image):
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        model_management_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )

    channel = grpc.insecure_channel(grpc_address)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)

    def request(kind, signature=None, **fields):
        r = kind(**fields)
        r.model_spec.name = "fake"
        if signature:
            r.model_spec.signature_name = signature
        return r

    def predict(value, name="images", signature=None, output="logits", want=((4, 4, 4),)):
        r = request(predict_pb2.PredictRequest, signature)
        r.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return equal(tf.make_ndarray(stub.Predict(r, timeout=10).outputs[output]), want)

    example = tf.train.Example()
    example.features.feature["images"].bytes_list.value.append(image)

    def with_example(r):
        r.input.example_list.examples.append(example)
        return r

    def classify():
        answer = stub.Classify(with_example(request(classification_pb2.ClassificationRequest)))
        best = answer.result.classifications[0].classes[0]
        return equal([best.label, best.score], ["green", 1.0])

    def several():
        r = inference_pb2.MultiInferenceRequest()
        task = r.tasks.add(method_name="tensorflow/serving/classify")
        task.model_spec.name = "fake"
        answer = stub.MultiInference(with_example(r)).results[0].classification_result
        return equal(answer.classifications[0].classes[0].label, "green")

    for name, call in {
        "Predict": lambda: predict(ONES),
        "Predict (DT_STRING of an image)": lambda: predict([image], output="probs", want=GREEN),
        "Predict (another signature)": lambda: predict(
            np.array([1.0], np.float32), "x", "half_plus_two", "y", [2.5]
        ),
        "Predict (no such signature)": lambda: predict(ONES, signature="none"),
        "Classify": classify,
        "Regress (of a classifier)": lambda: stub.Regress(
            with_example(request(regression_pb2.RegressionRequest))
        ),
        "MultiInference": several,
        "GetModelMetadata": lambda: stub.GetModelMetadata(
            request(
                get_model_metadata_pb2.GetModelMetadataRequest, metadata_field=["signature_def"]
            )
        ),
        "GetModelStatus": lambda: models.GetModelStatus(
            request(get_model_status_pb2.GetModelStatusRequest)
        ),
        "HandleReloadConfigRequest": lambda: models.HandleReloadConfigRequest(
            model_management_pb2.ReloadConfigRequest()
        ),
    }.items():
        show(name, call, grpc.RpcError)


def ovmsclient(http_address, grpc_address, image):
    import ovmsclient as ovms

    for kind, client in {
        "HTTP": ovms.make_http_client(http_address),
        "gRPC": ovms.make_grpc_client(grpc_address),
    }.items():
        for name, call in {
            "get_model_status": lambda c=client: c.get_model_status("fake"),
            "get_model_metadata": lambda c=client: c.get_model_metadata("fake"),
            "predict": lambda c=client: equal(
                c.predict({"images": ONES}, "fake")["logits"], [[4, 4, 4]]
            ),
            "predict (images)": lambda c=client: equal(
                c.predict({"images": [image]}, "fake")["probs"], GREEN
            ),
        }.items():
            show(f"{kind} {name}", call)


def kserve(http_address, grpc_address, image):
    from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
    from kserve.inference_client import RESTConfig

    logging.disable()
    url = "http://" + http_address
    b64 = {"b64": base64.b64encode(image).decode()}

    def request(binary):
        x = InferInput("images", [1, 2, 2, 3], "FP32")
        x.set_data_from_numpy(ONES, binary_data=binary)
        return InferRequest("fake", [x])

    async def of(protocol, call):
        if protocol == "gRPC":
            client = InferenceGRPCClient(grpc_address)
        else:
            client = InferenceRESTClient(RESTConfig(protocol=protocol))
        try:
            return await call(client)
        finally:
            await client.close()

    async def infer(client, where=(), binary=False, **options):
        answer = await client.infer(*where, request(binary), **options)
        return equal(next(o for o in answer.outputs if o.name == "logits").as_numpy(), [[4, 4, 4]])

    async def predict(client):
        answer = await client.infer(url, {"instances": [b64]}, model_name="fake")
        return equal([row["probs"] for row in answer["predictions"]], GREEN)

    for name, call in {
        "v1 is_server_live": lambda c: c.is_server_live(url),
        "v1 is_model_ready": lambda c: c.is_model_ready(url, "fake"),
        "v1 infer": predict,
        "v2 is_server_live": lambda c: c.is_server_live(url),
        "v2 is_server_ready": lambda c: c.is_server_ready(url),
        "v2 is_model_ready": lambda c: c.is_model_ready(url, "fake"),
        "v2 infer": lambda c: infer(c, [url], model_name="fake"),
        "v2 infer (binary)": lambda c: infer(c, [url], True, model_name="fake"),
        "gRPC is_server_live": lambda c: c.is_server_live(),
        "gRPC is_server_ready": lambda c: c.is_server_ready(),
        "gRPC is_model_ready": lambda c: c.is_model_ready("fake"),
        "gRPC infer": lambda c: infer(c),
    }.items():

        def made(call=call, name=name):
            result = asyncio.run(of(name.split(" ")[0], call))
            return str(result).lower() if isinstance(result, bool) else result

        show(name, made)


def mlserver(http_address, grpc_address, image):
    import requests
    from mlserver.codecs import Base64Codec, NumpyCodec
    from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse

    model = f"http://{http_address}/v2/models/fake"

    def infer(encoded, output, want):
        text = InferenceRequest(inputs=[encoded]).model_dump_json(exclude_none=True)
        answer = requests.post(model + "/infer", data=text)
        if answer.status_code != 200:
            return f"refused: {answer.status_code}"
        outputs = InferenceResponse.model_validate(answer.json()).outputs
        got = next(o for o in outputs if o.name == output)
        return equal(NumpyCodec.decode_output(got), want)

    def unknown():
        encoded = Base64Codec.encode_input("images", [image], use_bytes=False)
        encoded.parameters.content_type = "pillow_image"
        return infer(encoded, "probs", GREEN)

    for name, call in {
        "MetadataModelResponse": lambda: MetadataModelResponse.model_validate(
            requests.get(model).json()
        ),
        "NumpyCodec": lambda: infer(NumpyCodec.encode_input("images", ONES), "logits", [[4] * 3]),
        "Base64Codec": lambda: infer(
            Base64Codec.encode_input("images", [image], use_bytes=False), "probs", GREEN
        ),
        "another content_type": unknown,
    }.items():
        show(name, call)


def curl(http_address, grpc_address, image):
    url = "http://" + http_address
    b64 = base64.b64encode(image).decode()
    lines = base64.encodebytes(image).decode()

    def ask(*arguments, body=None, want=200):
        out = subprocess.run(
            ["curl", "-s", "-w", "\n%{http_code}", *arguments],
            input=body, capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip
        text, code = out.rsplit("\n", 1)
        if code != "200":
            assert int(code) == want, out
            return f"refused: {code}"
        answer = json.loads(text) if text.startswith("{") else {}
        if "predictions" in answer:
            best = answer["predictions"][0]
            if "name" in best:
                return equal(best["name"], "green")
            if "probs" in best:
                return equal([best["probs"]], GREEN)
        return "answers"

    data = ["--data-binary", "@-"]
    predict = url + "/v1/models/fake:predict"
    for name, call in {
        "-F file=@": lambda: ask("-F", "file=@-;filename=a.png", url + "/classify", body=image),
        "-F file=@ -F top=1": lambda: ask(
            "-F", "file=@-;filename=a.png", "-F", "top=1", url + "/classify", body=image
        ),
        "--data-binary @": lambda: ask(*data, url + "/classify", body=image),
        "--http2-prior-knowledge": lambda: ask(
            "--http2-prior-knowledge", *data, url + "/classify", body=image
        ),
        "-T - (chunked)": lambda: ask(
            "-X", "POST", "-H", "Transfer-Encoding: chunked", *data, url + "/classify", body=image
        ),
        "instances, b64": lambda: ask(
            *data, predict, body=json.dumps({"instances": [{"b64": b64}]}).encode()
        ),
        "instances, b64 with line breaks": lambda: ask(
            *data, predict, body=json.dumps({"instances": [{"b64": lines}]}).encode()
        ),
        "no JSON": lambda: ask(*data, predict, body=b"{", want=400),
        "no image": lambda: ask(*data, url + "/classify", body=b"no image", want=400),
        "of a page elsewhere": lambda: ask(
            "-H", "Sec-Fetch-Site: cross-site", *data, url + "/classify", body=image, want=403
        ),
    }.items():
        show(name, call)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(100, exit=True)
    with open(sys.argv[4], "rb") as f:
        globals()[sys.argv[1]](*sys.argv[2:4], f.read())
