// Types of the HTTP API, as docs/api.md describes them. Nothing here runs.

/** @typedef {"pending" | "running" | "completed" | "error" | "cancelled"} Status */

/** @typedef {{ filename: string, subfolder: string, type: string }} OutputFile */

/** @typedef {"image" | "video" | "audio" | "3d" | "text" | "file"} Media */

/**
 * @typedef {object} Missing
 * @property {string[]} node_types
 * @property {string[]} models
 * @property {string[]} packages
 */

/**
 * @typedef {object} WorkflowSummary
 * @property {string} id
 * @property {string | null} name
 * @property {"static" | "dynamic"} type
 * @property {string | null} category
 * @property {string | null} description
 * @property {boolean | null} ready
 * @property {string} [reason]
 * @property {Missing} missing
 */

/** @typedef {{ severity: "error" | "warning", file: string, line?: number, message: string }} Finding */

/** @typedef {{ id: string, ready: boolean | null, reason?: string, missing: Missing, findings: Finding[] }} WorkflowCheck */

/** @typedef {string | number | boolean} Scalar */

/** @typedef {Scalar | { value: Scalar, label?: string }} InputOption */

/**
 * @typedef {object} Input
 * @property {string} id
 * @property {string} [type]
 * @property {string} [label]
 * @property {string} [name]
 * @property {boolean} [required]
 * @property {any} [default]
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [step]
 * @property {InputOption[]} [options]
 * @property {string | number} [node_id]
 * @property {string} [field]
 * @property {{ node_id: string | number, field: string, part?: string }[]} [targets]
 * @property {Input[] | Record<string, Omit<Input, "id">>} [per_scene]
 * @property {string} [group] the section of the form that the input belongs to
 * @property {string} [tooltip]
 * @property {string} [placeholder]
 * @property {any} [presets]
 */

/** @typedef {{ group?: string, collapsed?: boolean, items?: InputEntry[] }} InputGroup */

/** @typedef {Input | InputGroup} InputEntry */

/**
 * @typedef {object} Manifest
 * @property {string} id
 * @property {string} [name]
 * @property {string} [type]
 * @property {string} [category]
 * @property {string} [description]
 * @property {string | number} [version]
 * @property {InputEntry[]} [inputs]
 * @property {{ type?: string, format?: string, node_id?: string | number }[]} [outputs]
 * @property {Record<string, { label?: string, description?: string, params: Record<string, any> }>} [presets]
 */

/**
 * @typedef {object} JobSummary
 * @property {string} prompt_id
 * @property {string} client_id
 * @property {string} workflow_id
 * @property {string} workflow_name
 * @property {string} output_folder
 * @property {string | null} retry_of
 * @property {boolean} automatic
 * @property {string | null} queued_at
 * @property {Status} status
 * @property {string | null} started_at
 * @property {string | null} finished_at
 * @property {string | null} error
 * @property {string[]} warnings
 * @property {Record<string, OutputFile[]>} outputs
 * @property {string | null} [comfyui] the name of the ComfyUI that the job was given
 */

/** @typedef {{ jobs: JobSummary[], next_cursor: string | null }} JobList */

/**
 * @typedef {JobSummary & {
 *   params: Record<string, any>, seeds: Record<string, number>, input_files: string[], result_nodes: string[],
 *   graph: Record<string, { class_type: string, inputs: Record<string, any> }> }} JobRecord
 */

/**
 * @typedef {object} Progress what `/status` answers; the fields beyond `status` and `percent` are those of a running job
 * @property {Status} status
 * @property {number} percent
 * @property {number} [step]
 * @property {number} [total_steps]
 * @property {string} [node_title]
 * @property {string} [node_type]
 * @property {number} [nodes_done]
 * @property {number} [total_nodes]
 * @property {number} [effective_total]
 * @property {number} [cached_count]
 * @property {number | null} [eta_seconds]
 * @property {number | null} [step_rate]
 * @property {string} [error]
 */

/** @typedef {JobSummary & { position: number | null, eta_seconds: number | null, progress: Progress | null }} QueuedJob */

/**
 * @typedef {object} ComfyUiInfo
 * @property {string} name
 * @property {"unknown" | "up" | "down"} status
 * @property {boolean} draining
 * @property {string[]} tags
 * @property {string[]} jobs
 * @property {string | null} running
 * @property {number | null} queue
 * @property {string | null} version
 * @property {{ name?: string, type?: string, vram_total?: number, vram_free?: number }[]} devices
 * @property {string | null} last_error
 */

/** @typedef {{ running: number, pending: number, jobs: QueuedJob[] }} Queue */

/**
 * @typedef {OutputFile & { node_id: string, node_title: string, node_type: string, media: Media, media_type: string, url: string }} JobFile
 */

/** @typedef {{ filename: string, size: number, media_type: string, uploaded_at: string, url: string }} UploadedFile */

/** @typedef {{ files: UploadedFile[], next_cursor: string | null }} UploadedFiles */

/** @typedef {{ prompt_id: string, client_id: string, seeds: Record<string, number>, warnings?: string[], jobs?: Submitted[] }} Submitted */

/**
 * @typedef {object} JobEvent
 * @property {number} id
 * @property {"job.queued" | "job.started" | "job.completed" | "job.failed" | "job.cancelled"} type
 * @property {string} message
 * @property {{ prompt_id: string, client_id: string, workflow_id: string | null, status: Status, error?: string }} data
 */

/** @typedef {{ type: "progress", prompt_id: string, client_id: string, data: Progress }} ProgressMessage */

/**
 * @typedef {object} Inspection
 * @property {Manifest} manifest
 * @property {string} yaml
 * @property {Record<string, any>} graph
 * @property {Finding[]} findings
 */

export {};
