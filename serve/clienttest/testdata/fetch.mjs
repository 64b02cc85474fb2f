// Makes calls with Node's fetch, and says what came of each.
//
// node fetch.mjs HTTP_ADDRESS, in a directory as served.py has it: a line a call, the call, a tab
// and the result. An answer that is wrong ends it.

import { deepStrictEqual, ok } from "node:assert";
import { readFileSync } from "node:fs";

const url = "http://" + process.argv[2];
const model = "efficientnet-lite0";
const expected = JSON.parse(readFileSync("expected.json", "utf8"));
const image = readFileSync("cat.jpg");
const b64 = image.toString("base64");
const small = Array(2).fill(Array(2).fill([1, 1, 1]));

class Refused extends Error {}

async function ask(path, body, options) {
  const response = await fetch(url + path, { method: "POST", body, ...options });
  if (response.ok) return response;
  const refusal = new Refused((await response.json()).error);
  refusal.status = response.status;
  throw refusal;
}

// named holds an answer of /classify to the expected class and its probability, to the last bit.
async function named(response) {
  const { name, probability } = (await response.json()).predictions[0];
  deepStrictEqual([name, probability], [expected.name, expected.probability]);
}

// best holds a row of probabilities to them.
function best(row) {
  deepStrictEqual(row.length, 1000);
  const index = row.indexOf(Math.max(...row));
  deepStrictEqual([index, row[index]], [expected.index, Math.fround(expected.probability)]);
}

const classify = async (body, options) => named(await ask("/classify?top=1", body, options));

async function form() {
  const data = new FormData();
  data.append("file", new Blob([image]), "cat.jpg");
  data.append("top", "1");
  await named(await ask("/classify", data));
}

async function predict(instance, name = model) {
  const body = JSON.stringify({ instances: [instance] });
  const answer = await (await ask(`/v1/models/${name}:predict`, body)).json();
  best(answer.predictions[0].probs.map(Math.fround));
}

// infer sends a binary tensor of the Open Inference Protocol, and reads one.
async function infer() {
  const values = readFileSync("x.npy").subarray(-224 * 224 * 3 * 4);
  const head = JSON.stringify({
    inputs: [{ name: "images", shape: [1, 224, 224, 3], datatype: "FP32",
      parameters: { binary_data_size: values.length } }],
    outputs: [{ name: "probs", parameters: { binary_data: true } }],
  });
  const headers = { "Inference-Header-Content-Length": String(Buffer.byteLength(head)) };
  const body = Buffer.concat([Buffer.from(head), values]);
  const response = await ask(`/v2/models/${model}/infer`, body, { headers });
  const length = Number(response.headers.get("Inference-Header-Content-Length"));
  const answer = (await response.arrayBuffer()).slice(length);
  best([...new Float32Array(answer)]);
}

async function together() {
  const answers = await Promise.all(Array.from({ length: 8 }, () =>
    ask("/classify?top=1", image).then((response) => response.json())));
  for (const { predictions: [{ name, probability }] } of answers) {
    // in batches, whose sums are added up in another order
    ok(name === expected.name && Math.abs(probability - expected.probability) <= 1e-5, name);
  }
}

const calls = {
  "fetch (Buffer)": () => classify(image),
  "fetch (FormData)": form,
  "fetch (ReadableStream)": () => classify(new Blob([image]).stream(), { duplex: "half" }),
  "fetch (7 MB)": () => classify(readFileSync("padded.jpg")),
  "fetch (instances, b64)": () => predict({ b64 }),
  "fetch (binary tensors)": infer,
  "fetch (eight at a time)": together,
  "fetch (another shape)": () => predict(small),
  "fetch (no such model)": () => predict({ b64 }, "none"),
  "fetch (too large)": () => classify(readFileSync("large")),
};
const reasons = {
  "fetch (another shape)": "expected (-1, 224, 224, 3), got (1, 2, 2, 3)",
  "fetch (no such model)": "Servable not found for request",
  "fetch (too large)": "the body is over the limit of 8388608 bytes",
};
for (const [name, call] of Object.entries(calls)) {
  let result = "answers";
  try {
    await call();
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    result = "refused: " + e.status;
    if (!e.message.includes(reasons[name])) result += ", without the reason";
  }
  console.log(`${name}\t${result}`);
}
