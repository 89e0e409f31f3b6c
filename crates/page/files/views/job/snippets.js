// Programs that run a workflow with given params and save its result.
import { toJson } from "../../api/json.js";

/** @typedef {{ base: string, workflowId: string, params: Record<string, any>, graph: Record<string, any> }} Run */

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

/** @param {Run} run */
function curl(run) {
  // In single quotes a shell takes everything as it is, but the quote itself.
  const body = toJson({ params: run.params }, 2).replaceAll("'", `'\\''`);
  return `curl -X POST '${run.base}${path(run)}?wait=600&result=1' \\
  -H "X-API-Key: $COMFY_RUNNER_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '${body}' \\
  -o result`;
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
)
job.raise_for_status()
for file in job.json().get("files", []):
    content = requests.get(base + file["url"], headers=headers).content
    with open(file["filename"], "wb") as out:
        out.write(content)
`;
}

/** @param {Run} run */
function javascript(run) {
  // A number of the program would round the digits of a BigInt: the server reads them from a text, too.
  const params = JSON.stringify(run.params, (_, value) => (typeof value === "bigint" ? String(value) : value), 2).replaceAll("\n", "\n  ");
  return `const base = ${JSON.stringify(run.base)};
const headers = { "X-API-Key": process.env.COMFY_RUNNER_API_KEY ?? "" };

const response = await fetch(base + ${JSON.stringify(`${path(run)}?wait=600`)}, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ params: ${params} }),
});
const job = await response.json();
if (!response.ok) throw new Error(job.detail);

for (const file of job.files ?? []) {
  const result = await fetch(base + file.url, { headers });
  console.log(file.filename, (await result.arrayBuffer()).byteLength, "bytes");
}
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
job = client.submit(workflow)
for output in job.result().outputs:
    output.to_file(output.name)
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
