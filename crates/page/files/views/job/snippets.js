// Programs that run a workflow with given params and save its result.
import { toJson } from "../../api/json.js";

/**
 * @typedef {object} Run
 * @property {string} base
 * @property {string} workflowId
 * @property {Record<string, any>} params
 * @property {Record<string, any>} graph
 * @property {string[]} files the names of what the job made
 * @property {boolean} hasTexts whether nodes of the job reported texts
 */

export const CODE_LANGUAGES = [
  { id: "curl", name: "curl" },
  { id: "python", name: "Python" },
  { id: "javascript", name: "JavaScript" },
  { id: "sdk", name: "Comfy SDK" },
];

/**
 * @param {string} language
 * @param {Run} run
 * @returns {string}
 */
export function codeFor(language, run) {
  if (language === "python") return python(run);
  if (language === "javascript") return javascript(run);
  if (language === "sdk") return sdk(run);
  return curl(run);
}

/** @param {Run} run */
function path({ workflowId }) {
  return `/api/run/${encodeURIComponent(workflowId)}/execute`;
}

/**
 * The server's answer is shown. Only a completed job has an id here, and without one the last commands fail.
 * @param {Run} run
 */
function curl(run) {
  const body = quoted(toJson({ params: run.params }, 2));
  const get = (/** @type {string} */ address, /** @type {string} */ options) => `curl -f -H "X-API-Key: $COMFY_RUNNER_API_KEY" "${run.base}${address}"${options}\n`;
  const [only] = run.files;
  const texts = run.hasTexts ? get("/api/jobs/$id/files", "") : "";
  let files = "";
  if (run.files.length > 1) files = get("/api/jobs/$id/package", ' -o "$id.zip"');
  else if (only !== undefined) files = get("/api/run/result/$id", ` -o ${quoted(only)}`);
  else if (!texts) files = get("/api/run/result/$id", " -OJ");
  return `job=$(curl -X POST ${quoted(`${run.base}${path(run)}?wait=600`)} \\
  -H "X-API-Key: $COMFY_RUNNER_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d ${body})
echo "$job"
id=$(echo "$job" | sed -n 's/.*"prompt_id":"\\([^"]*\\)".*"status":"completed".*/\\1/p')
${texts}${files}`;
}

/**
 * Writes a text for a shell, which takes everything in single quotes as it is, but the quote itself.
 * @param {string} text
 */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** @param {Run} run */
function python(run) {
  return `import os
import requests

base = ${JSON.stringify(run.base)}
headers = {"X-API-Key": os.environ.get("COMFY_RUNNER_API_KEY", "")}

job = requests.post(
    base + ${JSON.stringify(path(run))},
    params={"wait": 600},
    headers=headers,
    json={"params": ${pythonValue(run.params, 1)}},
).json()
if job.get("status") != "completed":
    raise SystemExit(job.get("error") or job.get("detail") or f"the job is {job['status']}")

for file in job["files"]:
    response = requests.get(base + file["url"], headers=headers)
    response.raise_for_status()
    with open(file["filename"], "wb") as out:
        out.write(response.content)
for text in job.get("texts", []):
    print(text["text"])
`;
}

/** @param {Run} run */
function javascript(run) {
  // A number of the program would round the digits of a BigInt: the server reads them from a text, too.
  const params = JSON.stringify(run.params, (_, value) => (typeof value === "bigint" ? String(value) : value), 2).replaceAll("\n", "\n  ");
  // Node waits for an answer no longer than 300 seconds.
  return `import { writeFile } from "node:fs/promises";

const base = ${JSON.stringify(run.base)};
const headers = { "X-API-Key": process.env.COMFY_RUNNER_API_KEY ?? "" };

const answer = await fetch(base + ${JSON.stringify(`${path(run)}?wait=290`)}, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ params: ${params} }),
});
const job = await answer.json();
if (job.status !== "completed") throw new Error(job.error ?? job.detail ?? \`the job is \${job.status}\`);

for (const file of job.files) {
  const response = await fetch(base + file.url, { headers });
  if (!response.ok) throw new Error(\`\${file.filename}: \${response.status}\`);
  await writeFile(file.filename, response.body);
}
for (const { text } of job.texts ?? []) console.log(text);
`;
}

/**
 * Comfy's official client, which takes the graph itself.
 * @param {Run} run
 */
function sdk(run) {
  return `import os
from comfy_sdk import Comfy  # pip install comfy-sdk

os.environ.setdefault("COMFY_BASE_URL", ${JSON.stringify(run.base)})

client = Comfy()
workflow = client.workflows.from_json(${pythonValue(run.graph, 0)})
job = client.submit(workflow).wait()
if job.status != "succeeded":
    raise SystemExit(job.error.message if job.error else f"the job is {job.status}")
for output in job.outputs:
    output.to_file(output.name)
    if output.type == "text":
        print(output.to_bytes().decode())
`;
}

/**
 * Writes a value as Python does.
 * @param {any} value
 * @param {number} depth
 * @returns {string}
 */
function pythonValue(value, depth) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return toJson(value);
  const indent = "    ".repeat(depth);
  const entries = Array.isArray(value)
    ? value.map((entry) => pythonValue(entry, depth + 1))
    : Object.entries(value).map(([key, entry]) => `${JSON.stringify(key)}: ${pythonValue(entry, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return entries.length === 0 ? open + close : `${open}\n${entries.map((entry) => `${indent}    ${entry},\n`).join("")}${indent}${close}`;
}
