// What kinds of files there are, how they are called and drawn, and what little is said of one in a line.

import { clean, duration } from "./format.js";

export const KINDS = {
  audio: { word: "Audio", sign: "audio" },
  video: { word: "Video", sign: "video" },
  image: { word: "Pictures", sign: "image" },
  document: { word: "Documents", sign: "document" },
  archive: { word: "Archives", sign: "archive" },
  program: { word: "Programs", sign: "program" },
  other: { word: "Other", sign: "file" },
};

export const SIZES = [
  ["tiny", "Under 1 MB", 0, 1e6],
  ["small", "1 to 10 MB", 1e6, 1e7],
  ["middle", "10 to 100 MB", 1e7, 1e8],
  ["large", "100 MB to 1 GB", 1e8, 1e9],
  ["huge", "Over 1 GB", 1e9, Infinity],
];
export const sizeClass = (bytes) => SIZES.find(([, , from, to]) => bytes >= from && bytes < to)[0];

export const extension = (name) => (/\.([A-Za-z0-9]{1,8})$/.exec(String(name ?? "")) ?? ["", ""])[1].toLowerCase();
// Kept: making a formatter takes longer than drawing a row.
const NUMBERS = new Intl.NumberFormat("en");
const DATES = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
export const grouped = (number) => NUMBERS.format(Number(number));
export const count = (number, one, many = `${one}s`) => `${grouped(number)} ${number === 1 ? one : many}`;

// What a file says of itself, in one line. Never verified, so it stands in the second row.
export function tagLine(tags) {
  if (!tags) return "";
  const said = [];
  if (tags.artist || tags.title) said.push([tags.artist, tags.title].filter(Boolean).join(" – "));
  if (tags.album) said.push([tags.album, tags.year].filter(Boolean).join(", "));
  if (tags.duration_s) said.push(duration(Number(tags.duration_s)));
  if (tags.width && tags.height) said.push(`${tags.width} × ${tags.height}`);
  if (tags.bitrate_kbps) said.push(`${Math.round(Number(tags.bitrate_kbps))} kbit/s`);
  return clean(said.join(" · "));
}

export const date = (time) => (time ? DATES.format(time * 1000) : "");

export const parent = (path) => path.split("/").slice(0, -1).join("/");
