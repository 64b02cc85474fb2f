"""Makes every call of a Python package that talks to servers, and says what came of each.

python libraries.py CLIENT HTTP_ADDRESS GRPC_ADDRESS, in a directory as served.py has it.
"""

import asyncio
import base64
import inspect
import logging

import numpy as np
from served import CLASSIFICATION, IMAGE, MODEL, Refused, best, named, run, show

X = np.load("x.npy")
SMALL = np.ones((1, 2, 2, 3), np.float32)
WIDE = np.repeat(X, 15, 0)  # 9 MB: more than a request may have


def about(answer):
    """Holds what tells of a model to its name."""
    assert MODEL in str(answer), answer
    return "answers"


def triton(module, client):
    from tritonclient.utils import InferenceServerException

    def tensor(x=X):
        t = module.InferInput("images", x.shape, "FP32")
        t.set_data_from_numpy(x)
        return t

    def images():
        x = module.InferInput("images", [1], "BYTES")
        x.set_data_from_numpy(np.array([IMAGE], dtype=np.object_))
        return x

    def infer(x=None, model=MODEL, **options):
        return best(client.infer(model, [x or tensor()], **options).as_numpy("probs")[0])

    def true(name, *arguments):
        return lambda: "true" if getattr(client, name)(*arguments) is True else "WRONG"

    def streamed():
        import queue

        answers = queue.Queue()
        client.start_stream(callback=lambda result, error: answers.put((result, error)))
        client.async_stream_infer(MODEL, [tensor()])
        result, error = answers.get(timeout=20)
        assert error is None, error
        client.stop_stream()
        return best(result.as_numpy("probs")[0])

    def asynchronous():
        if not hasattr(client, "start_stream"):
            result = client.async_infer(MODEL, [tensor()]).get_result()
        else:
            import queue

            answers = queue.Queue()
            client.async_infer(MODEL, [tensor()], lambda result, error: answers.put(result))
            result = answers.get(timeout=20)
        return best(result.as_numpy("probs")[0])

    def classes():
        wanted = module.InferRequestedOutput("probs", class_count=1)
        got = client.infer(MODEL, [images()], outputs=[wanted]).as_numpy("probs")[0, 0]
        assert got.decode() == CLASSIFICATION, got
        return "answers"

    def region():
        x = module.InferInput("images", X.shape, "FP32")
        x.set_shared_memory("region", X.nbytes)
        return client.infer(MODEL, [x])

    def region_output():
        wanted = module.InferRequestedOutput("probs")
        wanted.set_shared_memory("region", 4000)
        return client.infer(MODEL, [tensor()], outputs=[wanted])

    def told(name, *arguments):
        return lambda: about(getattr(client, name)(*arguments))

    def set_to(name, setting):
        def call():
            answer = getattr(client, name)()
            assert setting in str(answer), answer
            return "answers"

        return call

    compression = (
        "compression_algorithm" if hasattr(client, "start_stream") else
        "request_compression_algorithm"
    )  # fmt: skip
    calls = {
        "is_server_live": true("is_server_live"),
        "is_server_ready": true("is_server_ready"),
        "is_model_ready": true("is_model_ready", MODEL),
        "get_server_metadata": set_to("get_server_metadata", "kerasrun"),
        "get_model_metadata": told("get_model_metadata", MODEL),
        "get_model_config": told("get_model_config", MODEL),
        "get_inference_statistics": told("get_inference_statistics"),
        "get_model_repository_index": told("get_model_repository_index"),
        "get_trace_settings": set_to("get_trace_settings", "OFF"),
        "get_log_settings": set_to("get_log_settings", "log_info"),
        "infer": infer,
        "infer (BYTES of an image)": lambda: infer(images()),
        "infer (class_count)": classes,
        "infer (gzip)": lambda: infer(**{compression: "gzip"}),
        "infer (deflate)": lambda: infer(**{compression: "deflate"}),
        "infer (priority, timeout)": lambda: infer(priority=1, timeout=10_000_000),
        "infer (shared memory in)": region,
        "infer (shared memory out)": region_output,
        "infer (another shape)": lambda: infer(tensor(SMALL)),
        "infer (no such model)": lambda: infer(model="none"),
        "infer (too large)": lambda: infer(tensor(WIDE)),
        "async_infer": asynchronous,
        "load_model": lambda: client.load_model(MODEL),
        "unload_model": lambda: client.unload_model(MODEL),
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
        show(name, call, [InferenceServerException])
    client.close()


def tritonclient_http(http_address, grpc_address):
    import tritonclient.http as module

    triton(module, module.InferenceServerClient(http_address))


def tritonclient_grpc(http_address, grpc_address):
    import tritonclient.grpc as module

    triton(module, module.InferenceServerClient(grpc_address))


def tensorflow_serving(http_address, grpc_address):
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

    def request(kind, signature=None, model=MODEL, **fields):
        r = kind(**fields)
        r.model_spec.name = model
        if signature:
            r.model_spec.signature_name = signature
        return r

    def predict(value, signature=None, output="probs", model=MODEL):
        r = request(predict_pb2.PredictRequest, signature, model)
        r.inputs["images"].CopyFrom(tf.make_tensor_proto(value))
        return tf.make_ndarray(stub.Predict(r, timeout=20).outputs[output])

    def features():
        want = tf.saved_model.load("model").signatures["features"](images=tf.constant(X))
        got = predict(X, "features", "features")
        np.testing.assert_allclose(got, want["features"], rtol=0, atol=1e-5)
        return "answers"

    example = tf.train.Example()
    example.features.feature["images"].bytes_list.value.append(IMAGE)

    def with_example(r):
        r.input.example_list.examples.append(example)
        return r

    def classify():
        answer = stub.Classify(with_example(request(classification_pb2.ClassificationRequest)))
        first = answer.result.classifications[0].classes[0]
        return named(first.label, first.score)

    def several():
        r = inference_pb2.MultiInferenceRequest()
        task = r.tasks.add(method_name="tensorflow/serving/classify")
        task.model_spec.name = MODEL
        answer = stub.MultiInference(with_example(r)).results[0].classification_result
        first = answer.classifications[0].classes[0]
        return named(first.label, first.score)

    def status():
        answer = models.GetModelStatus(request(get_model_status_pb2.GetModelStatusRequest))
        assert answer.model_version_status[0].state == 30, answer  # AVAILABLE
        return "answers"

    for name, call in {
        "Predict": lambda: best(predict(X)[0]),
        "Predict (DT_STRING of an image)": lambda: best(predict([IMAGE])[0]),
        "Predict (another signature)": features,
        "Predict (no such signature)": lambda: predict(X, signature="none"),
        "Predict (another shape)": lambda: predict(SMALL),
        "Predict (no such model)": lambda: predict(X, model="none"),
        "Predict (too large)": lambda: predict(WIDE),
        "Classify": classify,
        "Regress (of a classifier)": lambda: stub.Regress(
            with_example(request(regression_pb2.RegressionRequest))
        ),
        "MultiInference": several,
        "GetModelMetadata": lambda: about(
            stub.GetModelMetadata(
                request(
                    get_model_metadata_pb2.GetModelMetadataRequest,
                    metadata_field=["signature_def"],
                )
            )
        ),
        "GetModelStatus": status,
        "HandleReloadConfigRequest": lambda: models.HandleReloadConfigRequest(
            model_management_pb2.ReloadConfigRequest()
        ),
    }.items():
        show(name, call, [grpc.RpcError])


def ovmsclient(http_address, grpc_address):
    import ovmsclient as ovms
    from ovmsclient.tfs_compat.base.errors import ModelServerError

    def predict(client, images, model=MODEL):
        return best(client.predict({"images": images}, model)["probs"][0])

    def status(client):
        assert [v["state"] for v in client.get_model_status(MODEL).values()] == ["AVAILABLE"]
        return "answers"

    def metadata(client):
        text = str(client.get_model_metadata(MODEL))  # of another form over HTTP
        assert "224" in text and "probs" in text, text
        return "answers"

    for kind, client in {
        "HTTP": ovms.make_http_client(http_address),
        "gRPC": ovms.make_grpc_client(grpc_address),
    }.items():
        for name, call in {
            "get_model_status": lambda c=client: status(c),
            "get_model_metadata": lambda c=client: metadata(c),
            "predict": lambda c=client: predict(c, X),
            "predict (images)": lambda c=client: predict(c, [IMAGE]),
            "predict (another shape)": lambda c=client: predict(c, SMALL),
            "predict (no such model)": lambda c=client: predict(c, X, "none"),
            "predict (too large)": lambda c=client: predict(c, [9_000_000 * b"A"]),
        }.items():
            show(f"{kind} {name}", call, [ModelServerError, ConnectionError, ValueError])


def kserve(http_address, grpc_address):
    import grpc
    import httpx
    from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
    from kserve.inference_client import RESTConfig

    logging.disable()
    url = "http://" + http_address

    def request(x=X, binary=False, model=MODEL):
        t = InferInput("images", list(x.shape), "FP32")
        t.set_data_from_numpy(x, binary_data=binary)
        return InferRequest(model, [t])

    async def of(protocol, call):
        if protocol == "gRPC":
            client = InferenceGRPCClient(grpc_address)
        else:
            client = InferenceRESTClient(RESTConfig(protocol=protocol))
        try:
            return await call(client)
        finally:
            await client.close()

    async def infer(client, x=X, binary=False, model=MODEL):
        if isinstance(client, InferenceGRPCClient):
            answer = await client.infer(request(x, model=model))
        else:
            answer = await client.infer(url, request(x, binary, model), model_name=model)
        return best(next(o for o in answer.outputs if o.name == "probs").as_numpy()[0])

    async def predict(client, instance=None, model=MODEL):
        instance = instance or {"b64": base64.b64encode(IMAGE).decode()}
        answer = await client.infer(url, {"instances": [instance]}, model_name=model)
        return best(answer["predictions"][0]["probs"])

    calls = {
        "v1 is_server_live": lambda c: c.is_server_live(url),
        "v1 is_model_ready": lambda c: c.is_model_ready(url, MODEL),
        "v1 infer": predict,
        "v1 infer (another shape)": lambda c: predict(c, SMALL[0].tolist()),
        "v1 infer (no such model)": lambda c: predict(c, model="none"),
        "v1 infer (too large)": lambda c: predict(c, {"b64": 9_000_000 * "A"}),
        "v2 is_server_live": lambda c: c.is_server_live(url),
        "v2 is_server_ready": lambda c: c.is_server_ready(url),
        "v2 is_model_ready": lambda c: c.is_model_ready(url, MODEL),
        "v2 infer": infer,
        "v2 infer (binary)": lambda c: infer(c, binary=True),
        "gRPC is_server_live": lambda c: c.is_server_live(),
        "gRPC is_server_ready": lambda c: c.is_server_ready(),
        "gRPC is_model_ready": lambda c: c.is_model_ready(MODEL),
        "gRPC infer": infer,
    }
    for protocol in "v2", "gRPC":
        calls[protocol + " infer (another shape)"] = lambda c: infer(c, SMALL)
        calls[protocol + " infer (no such model)"] = lambda c: infer(c, model="none")
        calls[protocol + " infer (too large)"] = lambda c: infer(c, WIDE, binary=True)
    for name, call in calls.items():

        def made(call=call, name=name):
            result = asyncio.run(of(name.split(" ")[0], call))
            if (
                result is None
            ):  # TensorFlow Serving's status, where KServe's own servers say "ready"
                return "None"
            return str(result).lower() if isinstance(result, bool) else result

        show(name, made, [httpx.HTTPError, grpc.RpcError])


def mlserver(http_address, grpc_address):
    import requests
    from mlserver.codecs import Base64Codec, NumpyCodec
    from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse

    models = f"http://{http_address}/v2/models/"

    def infer(encoded, model=MODEL):
        text = InferenceRequest(inputs=[encoded]).model_dump_json(exclude_none=True)
        answer = requests.post(f"{models}{model}/infer", data=text)
        if answer.status_code != 200:
            raise Refused(answer.status_code, answer.text)
        outputs = InferenceResponse.model_validate(answer.json()).outputs
        return best(NumpyCodec.decode_output(next(o for o in outputs if o.name == "probs"))[0])

    def image(content_type="base64", data=IMAGE):
        encoded = Base64Codec.encode_input("images", [data], use_bytes=False)
        encoded.parameters.content_type = content_type
        return encoded

    def metadata():
        answer = requests.get(models + MODEL).json()
        return about(MetadataModelResponse.model_validate(answer))

    for name, call in {
        "MetadataModelResponse": metadata,
        "NumpyCodec": lambda: infer(NumpyCodec.encode_input("images", X)),
        "NumpyCodec (another shape)": lambda: infer(NumpyCodec.encode_input("images", SMALL)),
        "Base64Codec": lambda: infer(image()),
        "Base64Codec (no such model)": lambda: infer(image(), "none"),
        "Base64Codec (too large)": lambda: infer(image(data=bytes(9_000_000))),
        "another content_type": lambda: infer(image("pillow_image")),
    }.items():
        show(name, call)


if __name__ == "__main__":
    run(globals())
