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
 * @param rounds how often each is scored.
 * @returns for each case its name, its scores, their shape, and the seconds of the last round.
 */
export async function scoreAll(ort, read, rounds = 1) {
  const cases = JSON.parse(new TextDecoder().decode(await read("cases.json")));
  const found = [];
  for (const { name, model, inputs } of cases) {
    const session = await ort.InferenceSession.create(new Uint8Array(await read(model)));
    const given = {};
    for (const [input, where] of Object.entries(inputs)) given[input] = await tensor(ort, read, where);
    let scores, seconds;
    for (let round = 0; round < rounds; round++) {
      const start = performance.now();
      ({ scores } = await session.run(given));
      seconds = (performance.now() - start) / 1000;
    }
    found.push({ name, shape: scores.dims, scores: scores.data, seconds });
    await session.release();
  }
  return found;
}
