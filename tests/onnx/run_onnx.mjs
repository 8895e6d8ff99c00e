// Runs an exported network in ONNX Runtime on the input of make_network_goldens.py and prints one JSON
// line: {"scores": [...], "attention_means": [...]}.
// usage: node run_onnx.mjs NODE_MODULES MODEL.onnx Z Y X   (a folder with onnxruntime-web from npm)
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const [modules, file, ...sizes] = process.argv.slice(2);
const ort = createRequire(`${modules}/`)('onnxruntime-web');
ort.env.wasm.numThreads = 1;
const [z, y, x] = sizes.map(Number);
const values = new Float32Array(2 * z * y * x);
for (let i = 0; i < values.length; ++i) values[i] = Math.sin(0.1 * (i + 1)) * Math.cos(0.013 * i);
const session = await ort.InferenceSession.create(readFileSync(file));
const result = await session.run({ volume: new ort.Tensor('float32', values, [2, 1, z, y, x]) });
const out = { scores: Array.from(result.score.data) };
if (result.attention) {
  const n = z * y * x;
  out.attention_means = [0, 1].map(
    (k) => result.attention.data.slice(k * n, (k + 1) * n).reduce((a, b) => a + b, 0) / n);
}
console.log(JSON.stringify(out));
