"""Talks to a server of the fake model with KServe's SDK, or with MLServer's types.

python kserve_clients.py kserve|mlserver HTTP_ADDRESS GRPC_ADDRESS IMAGE: IMAGE is all green.
"""

import asyncio
import base64
import sys

import numpy as np
import requests

GREEN = [[0.0, 1.0, 0.0]]


def refused(answer, words):
    assert answer.status_code == 400 and words in answer.json()["error"], answer.text


def kserve(http_address, grpc_address, image):
    from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
    from kserve.inference_client import RESTConfig

    url = "http://" + http_address

    async def rest():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(url) is True
        assert await client.is_server_ready(url) is True
        assert await client.is_model_ready(url, "fake") is True
        x = InferInput("images", [1, 2, 2, 3], "FP32")
        for binary in False, True:
            x.set_data_from_numpy(np.ones((1, 2, 2, 3), np.float32), binary_data=binary)
            answer = await client.infer(
                url, InferRequest("fake", [x], request_id="7"), model_name="fake"
            )
            logits = next(o for o in answer.outputs if o.name == "logits")
            np.testing.assert_array_equal(logits.as_numpy(), [[4, 4, 4]])
        await client.close()
        client = InferenceRESTClient(RESTConfig(protocol="v1"))
        assert await client.is_server_live(url) is True
        # It looks for what KServe's own servers add to TensorFlow Serving's status.
        assert await client.is_model_ready(url, "fake") in (None, True)
        b64 = {"b64": base64.b64encode(image).decode()}
        answer = await client.infer(url, {"instances": [b64]}, model_name="fake")
        assert [row["probs"] for row in answer["predictions"]] == GREEN, answer
        await client.close()

    async def rpc():
        client = InferenceGRPCClient(grpc_address)
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("fake")
        x = InferInput("images", [1, 2, 2, 3], "FP32")
        x.set_data_from_numpy(np.ones((1, 2, 2, 3), np.float32))
        answer = await client.infer(InferRequest("fake", [x]))
        logits = next(o for o in answer.outputs if o.name == "logits")
        np.testing.assert_array_equal(logits.as_numpy(), [[4, 4, 4]])
        await client.close()

    asyncio.run(rest())
    asyncio.run(rpc())


def mlserver(http_address, _, image):
    from mlserver.codecs import Base64Codec, NumpyCodec
    from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse

    model = f"http://{http_address}/v2/models/fake"
    MetadataModelResponse.model_validate(requests.get(model).json())

    def infer(*inputs):
        request = InferenceRequest(id="7", inputs=list(inputs))
        return requests.post(model + "/infer", data=request.model_dump_json(exclude_none=True))

    ones = np.ones((1, 2, 2, 3), np.float32)
    answer = InferenceResponse.model_validate(infer(NumpyCodec.encode_input("images", ones)).json())
    (logits,) = (o for o in answer.outputs if o.name == "logits")
    np.testing.assert_array_equal(NumpyCodec.decode_output(logits), [[4, 4, 4]])
    encoded = Base64Codec.encode_input("images", [image, image], use_bytes=False)
    answer = InferenceResponse.model_validate(infer(encoded).json())
    (probs,) = (o for o in answer.outputs if o.name == "probs")
    np.testing.assert_array_equal(NumpyCodec.decode_output(probs), GREEN * 2)

    encoded.parameters.content_type = "pillow_image"
    refused(infer(encoded), 'expected one of ["base64" "np" "str"], got "pillow_image"')
    encoded.parameters.content_type, encoded.data.root = "base64", ["!", "!"]
    refused(infer(encoded), "element 0: expected base64")


if __name__ == "__main__":
    with open(sys.argv[4], "rb") as f:
        globals()[sys.argv[1]](sys.argv[2], sys.argv[3], f.read())
