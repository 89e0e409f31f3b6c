// Types of the HTTP API for the page. `browser/api.d.ts` is written from the OpenAPI document; what authors write in manifests
// is narrowed here to what forms read. Nothing here runs.

/** @import * as Api from "../../browser/api.d.ts" */

/** @typedef {Api.Status} Status */
/** @typedef {Api.OutputFile} OutputFile */
/** @typedef {Api.Media} Media */
/** @typedef {Api.Missing} Missing */
/** @typedef {Api.WorkflowSummary} WorkflowSummary */
/** @typedef {Api.WorkflowCheck} WorkflowCheck */
/** @typedef {Api.BrokenWorkflow} BrokenWorkflow */
/** @typedef {Api.Finding} Finding */
/** @typedef {Api.JobSummary} JobSummary */
/** @typedef {Api.JobList} JobList */
/** @typedef {Api.JobRecord} JobRecord */
/** @typedef {Api.JobFile} JobFile */
/** @typedef {Api.JobFiles} JobFiles */
/** @typedef {Api.JobText} JobText */
/** @typedef {Api.Queue} Queue */
/** @typedef {Api.QueuedJob} QueuedJob */
/** @typedef {Api.ComfyUiInfo} ComfyUiInfo */
/** @typedef {Api.ComfyUis} ComfyUis */
/** @typedef {Api.UploadedFile} UploadedFile */
/** @typedef {Api.UploadedFiles} UploadedFiles */
/** @typedef {Api.Session} Session */
/** @typedef {Api.Event} JobEvent */
/** @typedef {Api.JobMessageProgress} ProgressMessage */
/** @typedef {Api.Submitted & { jobs?: Api.Submitted[] }} Submitted with `jobs` where a count was asked for */

/** @typedef {Omit<Partial<Api.JobStatusRunning>, "status"> & { status: Status, error?: string }} Progress of any status */

/** @typedef {string | number | boolean} Scalar */

/** @typedef {Scalar | { value: Scalar, label?: string }} InputOption */

/**
 * A type whose keys are left out where they have no value.
 * @template T
 * @typedef {{ [K in keyof T]: Exclude<T[K], null> }} Given
 */

/**
 * @typedef {Given<Pick<Api.Input, "id" | "type" | "label" | "name" | "required" | "default" | "min" | "max" | "step" | "node_id" | "field" | "targets">> & {
 *   options?: InputOption[],
 *   per_scene?: Input[] | Record<string, Omit<Input, "id">>,
 *   group?: string,
 *   tooltip?: string,
 *   placeholder?: string,
 *   presets?: any }} Input `group` is the section of the form that the input belongs to
 */

/** @typedef {{ group?: string, collapsed?: boolean, items?: InputEntry[] }} InputGroup */

/** @typedef {Input | InputGroup} InputEntry */

/**
 * @typedef {Given<Pick<Api.Manifest, "id" | "name" | "category" | "description" | "version" | "outputs">> & {
 *   type?: Api.WorkflowKind,
 *   inputs?: InputEntry[],
 *   presets?: Record<string, { label?: string, description?: string, params: Record<string, any> }> }} Manifest
 */

/** @typedef {Omit<Api.Inspection, "manifest" | "others"> & { manifest: Manifest, others: Input[] }} Inspection */
/** @typedef {Omit<Api.EditedManifest, "manifest"> & { manifest: Manifest }} EditedManifest */

export {};
