// node score_in_node.mjs CASES OUTPUT [ROUNDS]: scores the cases of a folder with onnxruntime-node.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { scoreAll } from "./score.mjs";

const [folder, output, rounds = 1] = process.argv.slice(2);

async function read(file) {
  const { buffer, byteOffset, byteLength } = await readFile(join(folder, file));
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

const found = await scoreAll(ort, read, Number(rounds));
for (const { name, scores } of found) await writeFile(join(output, `${name}.f32`), scores);
const shapes = Object.fromEntries(found.map(({ name, shape }) => [name, shape]));
const seconds = Object.fromEntries(found.map((each) => [each.name, each.seconds]));
console.log(JSON.stringify({ version: ort.env.versions.node, shapes, seconds }));
