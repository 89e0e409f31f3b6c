// Kinds of files by their names, and which of a job's files is its result.

/** @import { JobSummary, Media, OutputFile } from "./api/types.js" */

/** @type {Record<string, Media>} */
const MEDIA_BY_EXTENSION = {};
for (const [media, extensions] of Object.entries({
  image: "png apng jpg jpeg gif webp avif bmp tif tiff",
  video: "mp4 m4v mov webm mkv avi mpg mpeg ogv",
  audio: "wav mp3 flac ogg oga opus m4a aac",
  "3d": "glb gltf obj stl fbx ply usdz spz splat ksplat",
  text: "txt json csv md",
})) {
  for (const extension of extensions.split(" ")) MEDIA_BY_EXTENSION[extension] = /** @type {Media} */ (media);
}

/**
 * @param {string} filename
 * @returns {Media}
 */
export function mediaOf(filename) {
  const extension = filename.slice(filename.lastIndexOf(".") + 1).toLowerCase();
  return MEDIA_BY_EXTENSION[extension] ?? "file";
}

/**
 * Returns whether an input of a kind takes a file: animations are videos as well, and a video has sound.
 * @param {Media} media
 * @param {string} filename
 */
export function takesFile(media, filename) {
  const found = mediaOf(filename);
  return found === media || (media === "video" && /\.(gif|webp)$/i.test(filename)) || (media === "audio" && found === "video");
}

const ORDER = ["video", "image", "3d", "audio", "text", "file"];

/**
 * Returns the file that stands for a job in a list: one of its final files, videos before images.
 * @param {JobSummary} job
 * @returns {OutputFile | undefined}
 */
export function thumbnailOf(job) {
  const files = Object.values(job.outputs).flat();
  const rank = (/** @type {OutputFile} */ file) => {
    const place = file.type === "output" ? (file.subfolder.endsWith("/intermediate") ? 1 : 0) : 2;
    return place * 10 + ORDER.indexOf(mediaOf(file.filename));
  };
  return files.sort((a, b) => rank(a) - rank(b))[0];
}
