// How large a picture says it is, from its first bytes: a few kilobytes can unfold to gigabytes when drawn.

const text = (view, at, length) => String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));

// [width, height], or null where the bytes are none of these kinds or too few.
export function dimensions(buffer) {
  const view = new DataView(buffer);
  try {
    if (text(view, 1, 3) === "PNG") return [view.getUint32(16), view.getUint32(20)];
    if (text(view, 0, 3) === "GIF") return [view.getUint16(6, true), view.getUint16(8, true)];
    if (text(view, 0, 2) === "BM") return [view.getUint32(18, true), Math.abs(view.getInt32(22, true))];
    if (text(view, 0, 4) === "RIFF" && text(view, 8, 4) === "WEBP") return webp(view);
    if (view.getUint16(0) === 0xffd8) return jpeg(view);
    if (text(view, 4, 4) === "ftyp") return avif(view);
  } catch (wrong) {
    if (!(wrong instanceof RangeError)) throw wrong;
  }
  return null;
}

function webp(view) {
  const kind = text(view, 12, 4);
  const three = (at) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (kind === "VP8X") return [three(24) + 1, three(27) + 1];
  if (kind === "VP8 ") return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
  if (kind !== "VP8L") return null;
  const bits = view.getUint32(21, true);
  return [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1];
}

function jpeg(view) {
  let at = 2;
  for (let segments = 0; segments < 500; segments += 1) {
    const mark = view.getUint16(at);
    if (mark >> 8 !== 0xff) return null;
    const frame = mark >= 0xffc0 && mark <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(mark);
    if (frame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    at += 2 + view.getUint16(at + 2);
  }
  return null;
}

// The first "ispe" box: the size of the picture, among other boxes.
function avif(view) {
  for (let at = 8; at + 16 < Math.min(view.byteLength, 65536); at += 1)
    if (view.getUint32(at) === 0x69737065) return [view.getUint32(at + 8), view.getUint32(at + 12)];
  return null;
}
