// Scores the events of a list of cases with a runtime: the same lines in Node and in a browser.

/** Read 32-bit numbers of a case as a tensor. */
async function tensor(ort, read, { file, shape }) {
  return new ort.Tensor("float32", new Float32Array(await read(file)), shape);
}

/**
 * Score all cases.
 *
 * @param ort the runtime.
 * @param read gives the content of a file as an ArrayBuffer.
 * @returns for each case its name, its scores and their shape.
 */
export async function scoreAll(ort, read) {
  const cases = JSON.parse(new TextDecoder().decode(await read("cases.json")));
  const found = [];
  for (const { name, model, inputs } of cases) {
    const session = await ort.InferenceSession.create(new Uint8Array(await read(model)));
    const given = {};
    for (const [input, where] of Object.entries(inputs)) given[input] = await tensor(ort, read, where);
    const { scores } = await session.run(given);
    found.push({ name, shape: scores.dims, scores: scores.data });
    await session.release();
  }
  return found;
}
