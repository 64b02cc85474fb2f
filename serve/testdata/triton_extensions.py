"""What Triton's tools call beside inference, with Triton's two clients."""

import queue

import numpy as np
from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

EXTENSIONS = {
    "classification",
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "statistics",
    "schedule_policy",
    "trace",
    "logging",
}


def refused(call, words, status=None):
    try:
        call()
    except InferenceServerException as e:
        assert words in e.message(), e
        assert status is None or e.status() == status, e
    else:
        raise AssertionError(f"not refused: {words}")


def descriptors(path):
    """Every message, field and method of the server has the published one's number and type."""
    with open(path, "rb") as f:
        ours = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    published = {}
    for module in (service_pb2, model_config_pb2):
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for message in file.message_type:
            published[message.name] = message
        for enum in file.enum_type:
            published[enum.name] = enum
        for service in file.service:
            published[service.name] = service

    def compare(mine, theirs, where):
        if isinstance(mine, descriptor_pb2.EnumDescriptorProto):
            got, want = ({v.name: v.number for v in e.value} for e in (mine, theirs))
            assert got == want, (where, got, want)
            return
        fields = {f.name: f for f in theirs.field}
        for field in mine.field:
            want = fields[field.name]
            got = (field.number, field.type, field.label, field.type_name)
            assert got == (want.number, want.type, want.label, want.type_name), (where, field.name)
        for kind in "nested_type", "enum_type":
            inner = {m.name: m for m in getattr(theirs, kind)}
            for message in getattr(mine, kind):
                compare(message, inner[message.name], f"{where}.{message.name}")

    count = 0
    for file in ours.file:
        for mine in [*file.message_type, *file.enum_type]:
            compare(mine, published[mine.name], mine.name)
            count += 1
        for service in file.service:
            theirs = {m.name: m for m in published[service.name].method}
            assert {m.name for m in service.method} == set(theirs)
            for method in service.method:
                assert method == theirs[method.name], method.name
    assert count >= 59, count


def request(module, shape=(1, 2, 2, 3)):
    tensor = module.InferInput("images", shape, "FP32")
    tensor.set_data_from_numpy(np.ones(shape, np.float32))
    return tensor


def config(client, name):
    got = client.get_model_config(name, **({} if is_http(client) else {"as_json": True}))
    return got if is_http(client) else got["config"]


def is_http(client):
    return "http" in type(client).__module__


def statistics(client, *arguments):
    """The numbers of one version, those of gRPC as JSON has them."""
    options = {} if is_http(client) else {"as_json": True}
    (stats,) = client.get_inference_statistics(*arguments, **options)["model_stats"]

    def number(value):
        return int(value or 0)

    of = stats["inference_stats"]
    return {
        "success": number(of["success"].get("count")),
        "success_ns": number(of["success"].get("ns")),
        "fail": number(of["fail"].get("count")),
        "inferences": number(stats.get("inference_count")),
        "executions": number(stats.get("execution_count")),
        "parts_ns": sum(
            number(of[part].get("ns"))
            for part in ("queue", "compute_input", "compute_infer", "compute_output")
        ),
        "infer_ns": number(of["compute_infer"].get("ns")),
        "last": number(stats.get("last_inference")),
        "batches": {
            number(b["batch_size"]): number(b["compute_infer"]["count"])
            for b in stats.get("batch_stats", [])
        },
        "version": (stats["name"], stats["version"]),
    }


def extensions(module, client, image):
    http = is_http(client)
    options = {} if http else {"as_json": True}
    assert set(client.get_server_metadata(**options)["extensions"]) == EXTENSIONS

    got = config(client, "fake")
    assert got["name"] == "fake" and got["platform"] == "tensorflow_savedmodel", got
    assert got["max_batch_size"] == 8192, got
    (tensor,) = got["input"]
    assert tensor["name"] == "images" and tensor["data_type"] == "TYPE_FP32", got
    assert [int(n) for n in tensor["dims"]] == [2, 2, 3] and tensor["format"] == "FORMAT_NHWC"
    assert [[int(n) for n in o["dims"]] for o in got["output"]] == [[3], [3]], got
    assert "dynamic_batching" in got and got["version_policy"] == {"latest": {"num_versions": 1}}
    refused(lambda: client.get_model_config("none"), "Servable not found")

    before = statistics(client, "fake")
    for rows in 1, 2, 2:
        client.infer("fake", [request(module, (rows, 2, 2, 3))])
    images = module.InferInput("images", [3], "BYTES")
    images.set_data_from_numpy(np.array([image] * 3, dtype=np.object_))
    client.infer("fake", [images])
    refused(lambda: client.infer("fake", [request(module, (1, 2, 2, 4))]), "expected (-1, 2, 2, 3)")
    after = statistics(client, "fake", "1")
    assert after == statistics(client), "all models are this one"
    changed = {k: after[k] - before[k] for k in after if k not in ("batches", "version")}
    for key, want in {"success": 4, "fail": 1, "inferences": 8, "executions": 4}.items():
        assert changed[key] == want, (key, changed)
    assert 0 < changed["infer_ns"] < changed["parts_ns"] <= changed["success_ns"], changed
    assert changed["last"] >= 0 and after["last"] > 1.7e12, after
    ran = {n: after["batches"][n] - before["batches"].get(n, 0) for n in after["batches"]}
    assert (ran[1], ran[2], ran[3]) == (1, 2, 1), ran
    refused(lambda: client.get_inference_statistics("none"), "Servable not found")
    refused(lambda: client.get_inference_statistics("fake", "7"), "Servable not found")

    index = client.get_model_repository_index(**options)
    entries = index if http else index["models"]
    assert [(e["name"], e["version"], e["state"]) for e in entries] == [("fake", "1", "READY")]
    words = "explicit model load / unload is not allowed if polling is enabled"
    refused(lambda: client.load_model("fake"), words, "400" if http else "StatusCode.UNAVAILABLE")
    refused(lambda: client.unload_model("fake"), words)

    traces = client.get_trace_settings(**options)
    traces = traces if http else traces["settings"]
    assert traces["trace_level"] == (["OFF"] if http else {"value": ["OFF"]}), traces
    client.get_trace_settings("fake")
    refused(lambda: client.get_trace_settings("none"), "no model is called")
    change = {"trace_level": ["TIMESTAMPS"]}
    refused(lambda: client.update_trace_settings(None, change), "cannot be changed")
    logs = client.get_log_settings(**options)
    logs = logs if http else logs["settings"]
    assert "log_verbose_level" in logs and "log_info" in logs, logs
    refused(lambda: client.update_log_settings({"log_verbose_level": 1}), "cannot be changed")

    for call in (
        client.get_system_shared_memory_status,
        client.get_cuda_shared_memory_status,
        lambda: client.register_system_shared_memory("region", "/region", 64),
        lambda: client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 64),
        client.unregister_system_shared_memory,
        client.unregister_cuda_shared_memory,
        lambda: client.unregister_system_shared_memory("region"),
    ):
        refused(call, "shared memory", "501" if http else "StatusCode.UNIMPLEMENTED")
    region = module.InferInput("images", [1, 2, 2, 3], "FP32")
    region.set_shared_memory("region", 48)
    refused(lambda: client.infer("fake", [region]), "shared memory")
    output = module.InferRequestedOutput("probs")
    output.set_shared_memory("region", 12)
    refused(lambda: client.infer("fake", [request(module)], outputs=[output]), "shared memory")

    for priority in 0, 1, 2, 3:
        client.infer("fake", [request(module)], priority=priority, timeout=10_000_000)
    refused(lambda: client.infer("fake", [request(module)], priority=4), "expected a level from 1")


def stream(module, client):
    """Answers come in the order of the requests; an error ends its request and not the stream."""
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for i in range(60):
        shape = (1 + i % 3, 2, 2, 3) if i % 10 != 5 else (1, 2, 2, 4)
        client.async_stream_infer("fake", [request(module, shape)], request_id=str(i))
    for i in range(60):
        result, error = answers.get(timeout=20)
        if i % 10 == 5:
            assert "expected (-1, 2, 2, 3), got (1, 2, 2, 4)" in error.message(), error
            continue
        assert error is None, error
        response = result.get_response()
        assert response.id == str(i), (response.id, i)
        assert response.parameters["triton_final_response"].bool_param
        np.testing.assert_array_equal(result.as_numpy("logits"), np.full((1 + i % 3, 3), 4.0))
    client.stop_stream()
