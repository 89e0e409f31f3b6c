// Types of the HTTP API. Written from the OpenAPI document by crates/openapi/tests/page_types.rs.
export type BrokenWorkflow = {
  id: string;
  findings: Finding[];
};
export type Cancellation = {
  prompt_id: string;
  status: Status;
};
export type CollectedFiles = {
  dry_run: boolean;
  files: number;
  bytes: number;
  unfinished: number;
  kept_files: number;
  kept_bytes: number;
};
export type ComfyUiInfo = {
  name: string;
  status: ComfyUiStatus;
  draining: boolean;
  tags: string[];
  depth: number;
  jobs: string[];
  running: string | null;
  queue: number | null;
  warm_models: string[];
  version: string | null;
  devices: (Record<string, any>)[];
  last_error: string | null;
};
export type ComfyUiStatus = "unknown" | "up" | "down";
export type ComfyUis = {
  comfyuis: ComfyUiInfo[];
  waiting: number;
};
export type DeletedFile = {
  filename: string;
  file: FileFate;
  reason?: string;
};
export type DeletedJob = {
  prompt_id: string;
  deleted_files: number;
  kept: OutputFile[];
};
export type DrainedComfyUi = {
  name: string;
  draining: boolean;
  jobs: number;
};
export type EditedManifest = {
  yaml: string;
  manifest: Record<string, any>;
  findings: Finding[];
};
export type ErrorBody = {
  detail: string;
  param_errors?: Record<string, string>;
  node_errors?: Record<string, NodeError>;
  jobs?: Submitted[];
};
export type Event = {
  id: number;
  type: EventKind;
  timestamp: Timestamp;
  severity: Severity;
  message: string;
  data: EventData;
};
export type EventData = EventDataPending | EventDataRunning | EventDataCompleted | EventDataError | EventDataCancelled;
export type EventDataCancelled = {
  status: "cancelled";
  prompt_id: string;
  client_id: string;
  workflow_id: string | null;
  error?: string;
  percent?: number;
};
export type EventDataCompleted = {
  status: "completed";
  prompt_id: string;
  client_id: string;
  workflow_id: string | null;
  outputs: Record<string, OutputFile>;
  percent?: number;
};
export type EventDataError = {
  status: "error";
  prompt_id: string;
  client_id: string;
  workflow_id: string | null;
  error?: string;
  percent?: number;
};
export type EventDataPending = {
  status: "pending";
  prompt_id: string;
  client_id: string;
  workflow_id: string | null;
};
export type EventDataRunning = {
  status: "running";
  prompt_id: string;
  client_id: string;
  workflow_id: string | null;
};
export type EventKind = "job.queued" | "job.started" | "job.completed" | "job.failed" | "job.cancelled";
export type FileFate = "deleted" | "missing" | "kept";
export type Finding = {
  severity: FindingSeverity;
  file: string;
  line?: number;
  message: string;
};
export type FindingSeverity = "warning" | "error";
export type FinishedJob = FinishedJobPending | FinishedJobRunning | FinishedJobCompleted | FinishedJobError | FinishedJobCancelled;
export type FinishedJobCancelled = {
  status: "cancelled";
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
  files?: JobFile[];
  texts?: JobText[];
  error?: string;
  percent?: number;
};
export type FinishedJobCompleted = {
  status: "completed";
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
  files?: JobFile[];
  texts?: JobText[];
  outputs: Record<string, OutputFile>;
  percent?: number;
};
export type FinishedJobError = {
  status: "error";
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
  files?: JobFile[];
  texts?: JobText[];
  error?: string;
  percent?: number;
};
export type FinishedJobPending = {
  status: "pending";
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
  files?: JobFile[];
  texts?: JobText[];
  step: number;
  total_steps: number;
  percent?: number;
};
export type FinishedJobRunning = {
  status: "running";
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
  files?: JobFile[];
  texts?: JobText[];
  node_title: string | null;
  node_type: string | null;
  step: number;
  total_steps: number;
  percent: number;
  nodes_done: number;
  total_nodes: number;
  effective_total: number;
  cached_count: number;
  eta_seconds: number | null;
  step_rate: number;
  node_outputs: Record<string, NodeFiles>;
};
export type FinishedJobs = {
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
  jobs: FinishedJob[];
};
export type FlatStatus = FlatStatusPending | FlatStatusRunning | FlatStatusCompleted | FlatStatusError | FlatStatusCancelled;
export type FlatStatusCancelled = {
  status: "cancelled";
  prompt_id: string;
  client_id: string;
  error?: string;
  percent?: number;
};
export type FlatStatusCompleted = {
  status: "completed";
  prompt_id: string;
  client_id: string;
  outputs: Record<string, OutputFile>;
  percent?: number;
};
export type FlatStatusError = {
  status: "error";
  prompt_id: string;
  client_id: string;
  error?: string;
  percent?: number;
};
export type FlatStatusPending = {
  status: "pending";
  prompt_id: string;
  client_id: string;
  step: number;
  total_steps: number;
  percent?: number;
};
export type FlatStatusRunning = {
  status: "running";
  prompt_id: string;
  client_id: string;
  node_title: string | null;
  node_type: string | null;
  step: number;
  total_steps: number;
  percent: number;
  nodes_done: number;
  total_nodes: number;
  effective_total: number;
  cached_count: number;
  eta_seconds: number | null;
  step_rate: number;
  node_outputs: Record<string, NodeFiles>;
};
export type Graph = Record<string, Node>;
export type GraphFormat = "api" | "workflow";
export type Health = {
  status: HealthStatus;
  program: string;
  version: string;
};
export type HealthStatus = "ok";
export type Input = {
  id: string;
  type?: InputType | null;
  label?: string | null;
  name?: string | null;
  required?: boolean | null;
  default?: any;
  min?: number | null;
  max?: number | null;
  step?: number | null;
  options?: InputOption[] | null;
  node_id?: NodeNumber | null;
  field?: string | null;
  targets?: NodeField[] | null;
  per_scene?: PerScene | null;
  [key: string]: any;
};
export type InputEntry = Input | InputGroup;
export type InputError = {
  type: string;
  message: string;
  details: string;
  extra_info: Record<string, any>;
};
export type InputGroup = {
  group?: any;
  collapsed?: any;
  items: InputEntry[] | null;
  [key: string]: any;
};
export type InputOption = LabelledOption | any;
export type InputType = string;
export type Inspection = {
  manifest: Manifest;
  yaml: string;
  graph: Graph;
  others: Input[];
  findings: Finding[];
};
export type IssuedToken = {
  token: string;
  expires_at: Timestamp;
};
export type JobFile = {
  node_id: string;
  node_title: string;
  node_type: string;
  filename: string;
  subfolder: string;
  type: string;
  media: Media;
  media_type: string;
  url: string;
};
export type JobFiles = {
  files: JobFile[];
  texts: JobText[];
};
export type JobList = {
  jobs: JobSummary[];
  next_cursor: string | null;
};
export type JobMessage = JobMessageProgress | JobMessageOutput | JobMessagePreview;
export type JobMessageOutput = {
  type: "output";
  prompt_id: string;
  client_id: string;
  data: OutputUpdate;
};
export type JobMessagePreview = {
  type: "preview";
  prompt_id: string;
  client_id: string;
  data: PreviewUpdate;
};
export type JobMessageProgress = {
  type: "progress";
  prompt_id: string;
  client_id: string;
  data: JobStatus;
};
export type JobRecord = {
  prompt_id: string;
  client_id: string;
  workflow_id: string;
  workflow_name: string;
  output_folder: string;
  retry_of: string | null;
  automatic: boolean;
  priority: number;
  comfyui: string | null;
  queued_at: Timestamp | null;
  status: Status;
  started_at: Timestamp | null;
  finished_at: Timestamp | null;
  error: string | null;
  warnings: string[];
  node_errors?: Record<string, NodeError>;
  outputs: Record<string, OutputFile[]>;
  params: Record<string, any>;
  seeds: Record<string, number>;
  input_files: string[];
  result_nodes: string[];
  graph: Graph;
};
export type JobStatus = JobStatusPending | JobStatusRunning | JobStatusCompleted | JobStatusError | JobStatusCancelled;
export type JobStatusCancelled = {
  status: "cancelled";
  error?: string;
  percent?: number;
};
export type JobStatusCompleted = {
  status: "completed";
  outputs: Record<string, OutputFile>;
  percent?: number;
};
export type JobStatusError = {
  status: "error";
  error?: string;
  percent?: number;
};
export type JobStatusPending = {
  status: "pending";
  step: number;
  total_steps: number;
  percent?: number;
};
export type JobStatusRunning = {
  status: "running";
  node_title: string | null;
  node_type: string | null;
  step: number;
  total_steps: number;
  percent: number;
  nodes_done: number;
  total_nodes: number;
  effective_total: number;
  cached_count: number;
  eta_seconds: number | null;
  step_rate: number;
  node_outputs: Record<string, NodeFiles>;
};
export type JobSummary = {
  prompt_id: string;
  client_id: string;
  workflow_id: string;
  workflow_name: string;
  output_folder: string;
  retry_of: string | null;
  automatic: boolean;
  priority: number;
  comfyui: string | null;
  queued_at: Timestamp | null;
  status: Status;
  started_at: Timestamp | null;
  finished_at: Timestamp | null;
  error: string | null;
  warnings: string[];
  node_errors?: Record<string, NodeError>;
  outputs: Record<string, OutputFile[]>;
};
export type JobText = {
  node_id: string;
  node_title: string;
  node_type: string;
  text: string;
};
export type LabelledOption = {
  value: any;
  label?: any;
  [key: string]: any;
};
export type Manifest = {
  id: string;
  name?: string | null;
  type: WorkflowKind;
  category?: string | null;
  description?: string | null;
  version?: Version | null;
  inputs?: InputEntry[] | null;
  outputs?: Output[] | null;
  required_models?: RequiredFile[] | null;
  presets?: Presets | null;
  required_nodes?: RequiredFile[] | null;
  [key: string]: any;
};
export type ManifestEdit = {
  yaml: string;
  manifest?: Record<string, any>;
};
export type Media = "video" | "image" | "audio" | "3d" | "text" | "file";
export type Missing = {
  node_types: string[];
  models: string[];
  packages: string[];
};
export type ModelList = {
  kind: string;
  models: string[];
  only_on?: Record<string, string[]>;
};
export type ModelLists = {
  models: Record<string, string[]>;
  only_on?: Record<string, Record<string, string[]>>;
};
export type NewWorkflow = {
  manifest: string;
  graph: Record<string, any>;
};
export type Node = {
  class_type: string;
  inputs: Record<string, any>;
  _meta?: Record<string, any>;
  [key: string]: any;
};
export type NodeError = {
  errors: InputError[];
  dependent_outputs: string[];
  class_type: string;
};
export type NodeField = {
  node_id: NodeNumber;
  field: string;
  part?: string | null;
  [key: string]: any;
};
export type NodeFiles = {
  node_title: string;
  node_type: string;
  items: ReportedFile[];
};
export type NodeNumber = number | string;
export type Output = {
  type?: string | null;
  format?: string | null;
  node_id?: NodeNumber | null;
  [key: string]: any;
};
export type OutputFile = {
  filename: string;
  subfolder: string;
  type: string;
};
export type OutputUpdate = {
  node_id: string;
  node_title: string;
  node_type: string;
  items: ReportedFile[];
};
export type ParamsBody = Record<string, any>;
export type PerScene = InputEntry[] | Record<string, any>;
export type Preset = {
  label?: string | null;
  description?: string | null;
  params: Record<string, any>;
  [key: string]: any;
};
export type Presets = Record<string, Preset> | any;
export type PreviewUpdate = {
  node_id: string | null;
  media_type: string;
  image: string;
};
export type Queue = {
  running: number;
  pending: number;
  jobs: QueuedJob[];
};
export type QueuedJob = {
  position: number | null;
  eta_seconds: number | null;
  progress: JobStatus | null;
  prompt_id: string;
  client_id: string;
  workflow_id: string;
  workflow_name: string;
  output_folder: string;
  retry_of: string | null;
  automatic: boolean;
  priority: number;
  comfyui: string | null;
  queued_at: Timestamp | null;
  status: Status;
  started_at: Timestamp | null;
  finished_at: Timestamp | null;
  error: string | null;
  warnings: string[];
  node_errors?: Record<string, NodeError>;
  outputs: Record<string, OutputFile[]>;
};
export type Readiness = {
  status: ReadinessStatus;
};
export type ReadinessStatus = "ready";
export type ReportedFile = {
  filename: string;
  subfolder: string;
  type: string;
  media: Media;
};
export type RequiredFile = string | Record<string, any>;
export type Session = {
  required: boolean;
  signed_in: boolean;
  expires_at: Timestamp | null;
  allow_edit: boolean;
};
export type Severity = "info" | "success" | "warning" | "error";
export type SignIn = {
  key: string;
};
export type Status = "pending" | "running" | "completed" | "error" | "cancelled";
export type Submitted = {
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
};
export type SubmittedJobs = {
  prompt_id: string;
  client_id: string;
  seeds: Record<string, number>;
  retry_of?: string;
  warnings?: string[];
  node_errors?: Record<string, NodeError>;
  jobs: Submitted[];
};
export type Timestamp = string;
export type TokenRequest = {
  prompt_id?: string | null;
  expires_in?: number | null;
};
export type UiGraph = {
  nodes: (Record<string, any>)[];
  links: any[];
  version: number;
  [key: string]: any;
};
export type UnsavedRun = {
  manifest: string;
  graph: Record<string, any>;
  params?: Record<string, any>;
};
export type Update = Event | JobMessage;
export type Uploaded = {
  filename: string;
};
export type UploadedFile = {
  filename: string;
  size: number;
  media_type: string;
  uploaded_at: Timestamp | null;
  url: string;
  hash?: string;
};
export type UploadedFiles = {
  files: UploadedFile[];
  next_cursor: string | null;
};
export type Version = string | number;
export type WorkflowCheck = {
  id: string;
  ready: boolean | null;
  reason?: string;
  missing: Missing;
  findings: Finding[];
};
export type WorkflowKind = "static" | "dynamic";
export type WorkflowSummary = {
  id: string;
  name: string;
  type: WorkflowKind;
  category: string | null;
  description: string | null;
  ready: boolean | null;
  reason?: string;
  missing: Missing;
};
