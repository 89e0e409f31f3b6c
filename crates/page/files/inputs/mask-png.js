// A mask as a PNG that each of ComfyUI's loaders reads in the same way: where something was painted, the colour is white
// and the alpha channel is 0. `LoadImage` and `LoadImageMask` with `alpha` invert the alpha channel; `LoadImageMask` with
// `red`, and `ImageToMask`, take the colour. A canvas cannot write white with alpha 0, so the file is written here.
import { crc32 } from "../crc32.js";

/**
 * @param {ImageData} painted pixels whose alpha says how much was painted there
 * @returns {Promise<Blob>}
 */
export async function maskPng({ width, height, data }) {
  // A filter byte, which is 0, before each row.
  const rows = new Uint8Array(height * (1 + width * 4));
  for (let y = 0, out = 0; y < height; y++) {
    out += 1;
    for (let x = 0; x < width; x++, out += 4) {
      const amount = data[(y * width + x) * 4 + 3] ?? 0;
      rows.fill(amount, out, out + 3);
      rows[out + 3] = 255 - amount;
    }
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  // Eight bits, colour with alpha.
  header.set([8, 6], 8);
  const signature = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return new Blob([signature, chunk("IHDR", header), chunk("IDAT", await zlib(rows)), chunk("IEND", new Uint8Array())], { type: "image/png" });
}

/**
 * Reads a mask that was painted here, or one of another program: it is in the alpha channel, or in the colour of an image
 * without transparency.
 * @param {string} url
 * @param {{ width: number, height: number }} size
 * @returns {Promise<ImageData>} pixels as `maskPng` takes them
 */
export async function paintedPixels(url, { width, height }) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext("2d"));
  context.drawImage(image, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  const { data } = pixels;
  let transparent = false;
  for (let at = 3; at < data.length && !transparent; at += 4) transparent = data[at] !== 255;
  for (let at = 0; at < data.length; at += 4) {
    const amount = transparent ? 255 - (data[at + 3] ?? 0) : (data[at] ?? 0);
    data.fill(255, at, at + 3);
    data[at + 3] = amount;
  }
  return pixels;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function zlib(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * @param {string} type
 * @param {Uint8Array} content
 */
function chunk(type, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...type].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc32(bytes.subarray(4, 8 + content.length)));
  return bytes;
}
