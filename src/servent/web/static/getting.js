// From something found to a transfer: get it, undo that, see how far it is.

import { bytes, clean } from "./format.js";
import { confirmed, whither } from "./dialog.js";
import { live } from "./live.js";
import { ask } from "./net.js";
import { count } from "./kinds.js";
import { complain, toast } from "./toast.js";

const KEPT = "servent-got"; // content -> transfer, for this browser session
const MOST = 2000;
const got = new Map(JSON.parse(sessionStorage.getItem(KEPT) ?? "[]"));
const asking = new Set(); // contents whose answer is awaited

function remember(content, transfer) {
  got.set(content, transfer);
  while (got.size > MOST) got.delete(got.keys().next().value);
  sessionStorage.setItem(KEPT, JSON.stringify([...got]));
}

// content -> the transfer that fetches it, whoever began it: another tab, the command line, a wish.
let fetching = new Map();
live.watch(["transfers"], () => {
  fetching = new Map();
  for (const transfer of live.transfers.values()) {
    if (!transfer.content || transfer.preview || transfer.state === "cancelled" || transfer.direction === "up") continue;
    if (transfer.state !== "failed" || !fetching.has(transfer.content)) fetching.set(transfer.content, transfer.id);
  }
}, 500);

// What is known of a content: null, "asking", or the transfer that fetches it as it is now.
export function progressOf(content) {
  if (!content) return null;
  if (asking.has(content)) return "asking";
  for (const id of [got.get(content), fetching.get(content)]) {
    const transfer = live.transfers.get(id);
    if (transfer && transfer.state !== "cancelled") return transfer;
  }
  return null;
}

// What of a hit is needed to get it.
export const fileOf = (hit) => ({
  content: hit.content, name: hit.name, size_bytes: hit.size_bytes, tags: hit.tags, here: hit.here,
  peers: hit.sources.filter((source) => !source.mine).map((source) => source.peer),
});

async function undo(transfer) {
  const now = live.transfers.get(transfer.id) ?? transfer;
  if (now.state === "complete") return `It has arrived already${now.path ? `: ${now.path}` : ""}.`;
  await ask("POST", `/transfers/${encodeURIComponent(transfer.id)}/cancel`);
  await ask("DELETE", `/transfers/${encodeURIComponent(transfer.id)}`).catch(() => null);
  live.remove("transfers", transfer.id);
  return "Undone: nothing is fetched.";
}

function begun(transfer, name) {
  live.merge("transfers", transfer);
  toast(`Getting ${name}`, { undo: { word: "Undo", press: () => undo(transfer) } });
}

// One content: { content, size_bytes, name, peers }. `after` is told when its state changed; `to` is a folder there.
export async function getFile(file, after = () => {}, to = undefined) {
  const known = progressOf(file.content);
  if (known === "asking") return;
  if (known && known.state !== "failed") {
    toast(known.state === "complete" ? `${clean(file.name)} has arrived already` : `${clean(file.name)} is on its way`);
    return;
  }
  asking.add(file.content);
  after();
  try {
    const transfer = await ask("POST", "/gets", { content: file.content, size_bytes: file.size_bytes, name: file.name.slice(0, 255), peers: (file.peers ?? []).slice(0, 100), to });
    remember(file.content, transfer.id);
    begun(transfer, file.name);
  } catch (problem) {
    complain(problem);
  } finally {
    asking.delete(file.content);
    after();
  }
}

// What `progressOf` knows a folder of a peer by.
export const folderKey = (peer, path) => `${peer}/${path}`;

// A whole folder of a peer, after its size was seen and agreed to. `files` 0: not known before.
export async function getFolder({ peer, who, path, name, files, size_bytes: size }) {
  const what = files ? `${count(files, "file")}, ${bytes(size)} in all,` : "All files in it";
  const into = whither();
  const agreed = await confirmed(`Get the folder ${name}?`, [
    `${what} from ${who}, with their folders.`,
    "What you have already is not fetched again. You can choose single files later, in Transfers.",
  ], files ? `Get ${count(files, "file")}` : "Get all of it", into.node);
  if (!agreed) return;
  try {
    const transfer = await ask("POST", "/gets", { peer, path, name: name.slice(0, 255), to: into.value() }, { wait: 120000 });
    remember(folderKey(peer, path), transfer.id);
    begun(transfer, name);
  } catch (problem) {
    complain(problem);
  }
}

// Several at once, after their count and size were agreed to. Folders among them come whole.
export async function getMany(files, folders, { peer, who, path }) {
  const all = files.length + folders.reduce((sum, folder) => sum + folder.files, 0);
  const size = [...files, ...folders].reduce((sum, one) => sum + one.size_bytes, 0);
  if (!(await confirmed(`Get ${count(all, "file")}?`, [`${bytes(size)} from ${who}, into your downloads.`], `Get ${count(all, "file")}`))) return false;
  const begunNow = [];
  let refused = null;
  const wishes = [
    ...files.map((file) => ({ content: file.content, size_bytes: file.size_bytes, name: file.name.slice(0, 255), peers: [peer] })),
    ...folders.map((folder) => ({ peer, path: path ? `${path}/${folder.name}` : folder.name, name: folder.name.slice(0, 255) })),
  ];
  for (const wish of wishes) {
    try {
      const transfer = await ask("POST", "/gets", wish, { wait: 120000 });
      remember(wish.content ?? folderKey(peer, wish.path), transfer.id);
      live.merge("transfers", transfer);
      begunNow.push(transfer);
    } catch (problem) {
      refused = problem;
      break; // the rest would hear the same
    }
  }
  if (begunNow.length)
    toast(`Getting ${count(begunNow.length, "item")}`, { undo: { word: "Undo all", press: async () => {
      for (const transfer of begunNow) await undo(transfer);
      return "Undone: nothing of it is fetched.";
    } } });
  if (refused) complain(refused);
  return true;
}
