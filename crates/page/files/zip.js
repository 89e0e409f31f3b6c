// A ZIP with a few small files, which are stored as they are.
import { crc32 } from "./crc32.js";

/**
 * @param {Record<string, string>} files texts by path
 * @returns {Blob}
 */
export function zip(files) {
  const encoder = new TextEncoder();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, content] = [encoder.encode(path), encoder.encode(text)];
    // What both headers of a file say: version 2.0, UTF-8 names, stored, 1980-01-01, checksum, sizes, length of the name.
    const about = fields([[2, 20], [2, 0x0800], [2, 0], [2, 0], [2, 0x21], [4, crc32(content)], [4, content.length], [4, content.length], [2, name.length], [2, 0]]);
    const local = [fields([[4, 0x04034b50]]), about, name, content];
    directory.push(fields([[4, 0x02014b50], [2, 20]]), about, fields([[2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), name);
    parts.push(...local);
    offset += size(local);
  }
  const count = Object.keys(files).length;
  const end = fields([[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size(directory)], [4, offset], [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/**
 * Returns numbers in little endian, each with its number of bytes.
 * @param {[2 | 4, number][]} numbers
 */
function fields(numbers) {
  const bytes = new Uint8Array(numbers.reduce((sum, [length]) => sum + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [length, number] of numbers) {
    if (length === 2) view.setUint16(at, number, true);
    else view.setUint32(at, number, true);
    at += length;
  }
  return bytes;
}

/** @param {Uint8Array[]} parts */
function size(parts) {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
