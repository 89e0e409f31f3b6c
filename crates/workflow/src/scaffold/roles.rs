//! The role of a field for callers, by its name and kind: tables, so that a new node needs a line and no code.

use comfy_runner_protocol::object_info::InputKind;

/// The role of a field for callers.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// The input's id if there is no better one; empty for the field's own name.
    pub id: &'static str,
    /// Its rank; a form shows the lowest first.
    pub rank: u8,
    /// Whether fields of this role with the same value are one input: two samplers of one image have the same steps.
    pub shared: bool,
}

/// Ranks, and what a group of inputs is called that begins there.
pub const GROUPS: [(u8, &str); 5] =
    [(0, "Content"), (30, "Size and length"), (50, "Settings"), (60, "Sampling"), (80, "Models")];
/// Prompts and other strings.
pub const PROMPT: u8 = 10;
/// Files that callers send.
pub const FILE: u8 = 20;
/// Fields without a rank of their own.
pub const SETTING: u8 = 50;
/// Model files.
pub const MODEL: u8 = 80;
/// Seeds.
pub const SEED: u8 = 70;

struct Rule {
    fields: &'static [&'static str],
    /// Part of the node type's name; empty for any.
    class: &'static str,
    role: Role,
}

const fn rule(
    fields: &'static [&'static str],
    class: &'static str,
    id: &'static str,
    rank: u8,
    shared: bool,
) -> Rule {
    Rule { fields, class, role: Role { id, rank, shared } }
}

const NUMBERS: &[Rule] = &[
    rule(&["batch_size"], "Empty", "batch_size", 39, true),
    rule(&["length", "num_frames", "frames", "video_frames", "frame_count"], "", "frames", 40, true),
    rule(&["frames_number"], "Empty", "frames", 40, true),
    rule(&["duration", "seconds"], "", "duration", 40, true),
    rule(&["fps", "frame_rate"], "", "fps", 41, true),
    rule(&["scale_by", "multiplier"], "", "scale_by", 34, false),
    rule(&["megapixels"], "", "megapixels", 34, false),
    rule(&["upscale_factor", "scale_factor"], "", "", 34, false),
    rule(&["color"], "", "color", 52, false),
    rule(&["n"], "", "count", 52, false),
    rule(&["bpm", "volume", "temperature", "max_length"], "", "", 52, false),
    rule(&["steps"], "", "steps", 60, true),
    rule(&["cfg", "cfg_conds"], "", "cfg", 61, true),
    rule(&["cfg_cond2_negative"], "", "cfg_negative", 62, true),
    rule(&["guidance"], "", "guidance", 61, true),
    rule(&["denoise"], "", "denoise", 65, true),
    rule(&["strength"], "ControlNet", "control_strength", 66, false),
];

const CHOICES: &[Rule] = &[
    rule(&["sampler_name"], "", "sampler", 68, true),
    rule(&["scheduler"], "", "scheduler", 69, true),
    rule(&["aspect_ratio", "ratio"], "", "aspect_ratio", 32, true),
    rule(&["resolution", "size", "size_preset"], "", "", 33, true),
    rule(&["upscale_method"], "", "upscale_method", 35, true),
    rule(&["duration"], "", "duration", 40, true),
    rule(
        &[
            "quality",
            "style",
            "background",
            "mode",
            "model",
            "voice",
            "language",
            "character",
            "format",
            "blend_mode",
            "timesignature",
            "keyscale",
        ],
        "",
        "",
        52,
        false,
    ),
    rule(&["choice"], "CustomCombo", "", 52, false),
];

const MODELS: &[Rule] = &[
    rule(&["ckpt_name"], "", "checkpoint", MODEL, true),
    rule(&["unet_name"], "", "diffusion_model", MODEL, true),
    rule(&["lora_name"], "", "lora", MODEL + 1, true),
    rule(&["vae_name"], "", "vae", MODEL + 2, true),
    rule(&["control_net_name"], "", "control_net", MODEL + 3, true),
    rule(&["model_name"], "UpscaleModelLoader", "upscale_model", MODEL + 3, true),
    rule(&["style_model_name"], "", "style_model", MODEL + 3, true),
];

/// Models that go with another model: offered when the author chose them, and never otherwise.
const COMPANIONS: &[Rule] = &[
    rule(&["clip_name"], "CLIPVision", "clip_vision", MODEL + 5, true),
    rule(&["clip_name"], "", "text_encoder", MODEL + 4, true),
    rule(&["clip_name1", "text_encoder1"], "", "first_text_encoder", MODEL + 4, true),
    rule(&["clip_name2", "text_encoder2"], "", "second_text_encoder", MODEL + 4, true),
    rule(&["clip_name3"], "", "third_text_encoder", MODEL + 4, true),
    rule(&["clip_name4"], "", "fourth_text_encoder", MODEL + 4, true),
    rule(&["text_encoder"], "", "text_encoder", MODEL + 4, true),
    rule(&["audio_encoder_name"], "", "audio_encoder", MODEL + 5, true),
    rule(&["name"], "ModelPatchLoader", "model_patch", MODEL + 5, true),
    rule(&["model_name"], "", "model", MODEL + 5, true),
];

/// Strings that are the prompt.
const PROMPTS: &[&str] = &[
    "text",
    "prompt",
    "value",
    "string",
    "positive",
    "positive_prompt",
    "user_prompt",
    "text_g",
    "text_l",
    "clip_l",
    "t5xxl",
];
/// Words in the names of strings that configure a node, and do not belong in a form.
const MACHINERY: &[&str] = &[
    "regex",
    "delimiter",
    "find",
    "replace",
    "template",
    "script",
    "code",
    "expression",
    "json",
    "source",
    "shader",
    "sigmas",
    "pattern",
    "coords",
    "bboxes",
];
/// Node types whose fields control the graph. Their fields are offered only if the author gave the node a title.
const PLUMBING: &[&str] = &["String", "Regex", "Json", "ComfyMath", "ComfyNumber", "GLSL", "ComfySwitch"];
/// Node types whose `width` and `height` are not the size of the result.
const NOT_A_SIZE: &[&str] = &["CLIPTextEncode", "Crop", "Pad", "Outpaint"];
/// Node types whose `length` is not that of the resulting video.
const NOT_A_LENGTH: &[&str] = &["VAEDecodeTiled", "ImageFromBatch", "TrimVideo", "TrimAudio", "Preprocess"];

fn find(rules: &[Rule], class: &str, field: &str) -> Option<Role> {
    // `resize_type.megapixels` is `megapixels`.
    let name = field.rsplit('.').next().unwrap_or(field);
    let fits = |rule: &&Rule| rule.fields.contains(&name) && class.contains(rule.class);
    rules.iter().find(fits).map(|rule| rule.role)
}

/// The role of a field that holds a number or a color.
pub fn number_role(class: &str, field: &str) -> Option<Role> {
    if find(NUMBERS, class, field).is_some_and(|role| role.id == "frames")
        && NOT_A_LENGTH.iter().any(|other| class.contains(other))
    {
        return None;
    }
    find(NUMBERS, class, field)
}

/// Returns the role of a width or height that is the size of the result.
pub fn size_role(class: &str, field: &str) -> Option<Role> {
    if NOT_A_SIZE.iter().any(|other| class.contains(other)) {
        return None;
    }
    match field.rsplit('.').next()? {
        "width" => Some(Role { id: "width", rank: 30, shared: true }),
        "height" => Some(Role { id: "height", rank: 31, shared: true }),
        _ => None,
    }
}

/// The role of a choice from a list.
pub fn choice_role(class: &str, field: &str) -> Option<Role> {
    find(CHOICES, class, field)
}

/// The role of a model file that callers choose.
pub fn model_role(class: &str, field: &str) -> Option<Role> {
    find(MODELS, class, field)
}

/// The role of any model file.
pub fn any_model_role(class: &str, field: &str) -> Option<Role> {
    find(MODELS, class, field).or_else(|| find(COMPANIONS, class, field))
}

/// Whether a string of this name is the prompt.
pub fn is_prompt(field: &str) -> bool {
    let name = field.rsplit('.').next().unwrap_or(field);
    PROMPTS.contains(&name)
}

/// Whether a string of this name configures the node.
pub fn is_machinery(field: &str) -> bool {
    MACHINERY.iter().any(|word| field.contains(word))
}

/// Returns whether nodes of this type control the graph.
pub fn is_plumbing(class: &str) -> bool {
    PLUMBING.iter().any(|prefix| class.starts_with(prefix))
}

/// The manifest type of a model's role, or of none.
pub fn picker(role: &str) -> &'static str {
    match role {
        "checkpoint" => "checkpoint_picker",
        "vae" => "vae_picker",
        "lora" => "lora_picker",
        _ => "select",
    }
}

/// The manifest type for a schema's kind.
pub fn plain_type(kind: &InputKind) -> Option<&'static str> {
    match kind {
        InputKind::Int => Some("int"),
        InputKind::Float => Some("float"),
        InputKind::String => Some("text"),
        InputKind::Boolean => Some("boolean"),
        InputKind::Combo(_) => Some("select"),
        _ => None,
    }
}

/// Where an input of this id is listed, if a role has that name: a primitive that the author called `Duration`.
pub fn rank_of(id: &str) -> Option<u8> {
    if matches!(id, "width" | "height") {
        return Some(30);
    }
    let rules = NUMBERS.iter().chain(CHOICES);
    let mut named = rules.filter(|rule| rule.role.id == id || rule.fields.contains(&id));
    named.next().map(|rule| rule.role.rank)
}

/// The words of all roles, to recognise a misspelt title.
pub fn words() -> impl Iterator<Item = &'static str> {
    let rules = NUMBERS.iter().chain(CHOICES).chain(MODELS);
    rules
        .flat_map(|rule| rule.fields.iter().copied().chain([rule.role.id]))
        .chain(["width", "height", "seed", "prompt"])
}
