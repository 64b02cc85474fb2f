"""Talks to a server of the fake model with the clients that are written for TensorFlow Serving.

tensorflow-serving-api over gRPC, and OpenVINO's ovmsclient over gRPC and HTTP, whose messages
cannot be loaded into one process.

python serving_clients.py tensorflow_serving|ovmsclient HTTP_ADDRESS GRPC_ADDRESS IMAGE: IMAGE is
all green.
"""

import sys

import grpc
import numpy as np


def check(got, want):
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


def refused(call, code, words):
    try:
        call()
    except grpc.RpcError as e:
        assert e.code() == code and words in e.details(), e
    else:
        raise AssertionError(f"not refused: {words}")


def tensorflow_serving(_, address, image):
    import tensorflow as tf
    from google.protobuf import json_format
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

    channel = grpc.insecure_channel(address)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)

    def request(signature="", version=None, label="", **inputs):
        r = predict_pb2.PredictRequest()
        r.model_spec.name = "fake"
        r.model_spec.signature_name = signature
        if version is not None:
            r.model_spec.version.value = version
        if label:
            r.model_spec.version_label = label
        for name, value in inputs.items():
            r.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return r

    def predict(*args, filter=(), compression=None, **inputs):
        r = request(*args, **inputs)
        r.output_filter.extend(filter)
        answer = stub.Predict(r, timeout=10, compression=compression)
        assert answer.model_spec.name == "fake" and answer.model_spec.version.value == 1
        return {name: tf.make_ndarray(t) for name, t in answer.outputs.items()}

    # The example of TensorFlow Serving's documentation, by number, by label, one value and many.
    for version, label in ((None, ""), (1, ""), (0, ""), (None, "stable")):
        got = predict("half_plus_two", version, label, x=np.array([1, 2, 5], np.float32))
        check(got["y"], [2.5, 3, 4.5])
    check(predict("half_plus_two", x=np.array([4], np.float32))["y"], [4])
    r = request("half_plus_two")
    r.inputs["x"].CopyFrom(tf.make_tensor_proto(1.0, shape=[3], dtype=tf.float32))
    assert len(r.inputs["x"].float_val) == 1  # which stands for three
    check(tf.make_ndarray(stub.Predict(r).outputs["y"]), [2.5, 2.5, 2.5])

    images = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    for compression in (None, grpc.Compression.Gzip, grpc.Compression.Deflate):
        got = predict(images=images, compression=compression)
        assert sorted(got) == ["logits", "probs"]
        check(got["logits"], images.reshape(2, 4, 3).sum(axis=1))
    got = predict(images=[image, image], filter=["probs"])
    assert list(got) == ["probs"]
    check(got["probs"], [[0, 1, 0], [0, 1, 0]])
    got = predict(
        "echo",
        tag=np.array(["é".encode()], object),
        signal=np.array([[1, -2, 3]], np.int32),
        on=np.array([True]),
    )
    check(got["signal"], [[1, -2, 3]])
    check(got["on"], [True])
    assert got["tag"][0] == "é".encode()
    check(predict("sum", x=np.array([1, 2.5]))["sum"], 3.5)

    code = grpc.StatusCode
    refused(lambda: predict("none"), code.FAILED_PRECONDITION, 'key "none" not found')
    refused(
        lambda: predict("half_plus_two", 7),
        code.NOT_FOUND,
        "Servable not found for request: Specific(fake, 7)",
    )
    refused(
        lambda: predict(images=np.zeros((1, 2, 2, 4), np.float32)),
        code.INVALID_ARGUMENT,
        "expected (-1, 2, 2, 3), got (1, 2, 2, 4)",
    )

    # Classes of an image; the fake has no signature for regress.
    example = tf.train.Example()
    example.features.feature["images"].bytes_list.value.append(image)
    r = classification_pb2.ClassificationRequest()
    r.model_spec.name = "fake"
    r.input.example_list.examples.append(example)
    best = stub.Classify(r).result.classifications[0].classes[0]
    assert (best.label, best.score) == ("green", 1), best
    r = regression_pb2.RegressionRequest()
    r.model_spec.name = "fake"
    r.input.example_list.examples.append(example)
    refused(lambda: stub.Regress(r), code.INVALID_ARGUMENT, "expected a regression")
    r = inference_pb2.MultiInferenceRequest()
    task = r.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.name = "fake"
    r.input.example_list.examples.append(example)
    result = stub.MultiInference(r).results[0].classification_result
    assert result.classifications[0].classes[0] == best

    r = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    r.model_spec.name = "fake"
    answer = stub.GetModelMetadata(r)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    tensor = signatures.signature_def["serving_default"].inputs["images"]
    assert tensor.dtype == tf.float32.as_datatype_enum
    assert [d.size for d in tensor.tensor_shape.dim] == [-1, 2, 2, 3]
    assert signatures.signature_def["sum"].method_name == "tensorflow/serving/predict"
    json_format.MessageToJson(answer)  # as its examples print it

    r = get_model_status_pb2.GetModelStatusRequest()
    r.model_spec.name = "fake"
    states = models.GetModelStatus(r).model_version_status
    assert [(s.version, s.state, s.status.error_code) for s in states] == [(1, 30, 0)]
    refused(
        lambda: models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest()),
        code.UNIMPLEMENTED,
        "--model-config-file",
    )


def ovmsclient(http_address, grpc_address, image):
    import ovmsclient as ovms

    images = {"shape": [-1, 2, 2, 3], "dtype": "DT_FLOAT"}
    grpc_client = type(ovms.make_grpc_client(grpc_address))
    for client in ovms.make_grpc_client(grpc_address), ovms.make_http_client(http_address):
        for version in (0, 1):  # 0 is the newest
            status = client.get_model_status("fake", version)
            assert status == {1: {"state": "AVAILABLE", "error_code": 0, "error_message": ""}}
            metadata = client.get_model_metadata("fake", version)
            if isinstance(client, grpc_client):  # by HTTP it is the server's JSON
                assert metadata["inputs"]["images"] == images, metadata
            else:
                assert metadata["model_spec"]["version"] in (1, "1"), metadata
            got = client.predict({"images": np.ones((1, 2, 2, 3), np.float32)}, "fake", version)
            check(got["logits"], [[4, 4, 4]])
        check(client.predict({"images": [image, image]}, "fake")["probs"], [[0, 1, 0]] * 2)
        try:
            client.predict({"images": [image]}, "fake", 7)
        except ovms.tfs_compat.base.errors.ModelNotFoundError as e:
            assert "Specific(fake, 7)" in str(e), e
        else:
            raise AssertionError("version 7 was not refused")


def main():
    with open(sys.argv[4], "rb") as f:
        image = f.read()
    {"tensorflow_serving": tensorflow_serving, "ovmsclient": ovmsclient}[sys.argv[1]](
        *sys.argv[2:4], image
    )


main()
