// Asking the node from here, through the page's own process: `/node/…` is a part of the node's API.

import { Problem } from "./live.js";

const AWAY = { title: "The node did not answer", advice: "Is it still running? The page reconnects by itself." };

export const query = (values) => {
  const kept = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  return kept.length ? `?${new URLSearchParams(kept.map(([key, value]) => [key, String(value)]))}` : "";
};

async function refused(answer) {
  return new Problem(await answer.json().catch(() => null), answer.status);
}

// One request. Throws Problem when the node says no, AbortError when `signal` ended it. `wait` in ms.
export async function ask(method, path, body, { signal, wait = 30000 } = {}) {
  const limits = [AbortSignal.timeout(wait), ...(signal ? [signal] : [])];
  let answer;
  try {
    answer = await fetch(`/node${path}`, {
      method, signal: AbortSignal.any(limits),
      ...(body === undefined || body === null ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
  } catch (wrong) {
    if (signal?.aborted) throw wrong;
    throw new Problem(AWAY, 0);
  }
  if (!answer.ok) throw await refused(answer);
  return answer.status === 204 ? null : answer.json().catch(() => null);
}

// A streamed answer, one JSON value a line, given to `take` as it comes.
export async function lines(path, signal, take) {
  let answer;
  try {
    answer = await fetch(`/node${path}`, { signal });
  } catch (wrong) {
    if (signal.aborted) throw wrong;
    throw new Problem(AWAY, 0);
  }
  if (!answer.ok) throw await refused(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const pieces = (rest + value).split("\n");
    rest = pieces.pop();
    for (const piece of pieces) if (piece) take(JSON.parse(piece));
  }
}

export const aborted = (wrong) => wrong?.name === "AbortError";
