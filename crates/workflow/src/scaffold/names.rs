//! Ids and labels: from the author's titles and labels, from what a file is used for, and from roles.

use super::roles;

/// The longest id, in characters.
const MAX_ID: usize = 40;
/// Verbs at the beginning of a node's title: "Load Product Image".
const VERBS: &[&str] =
    &["load", "upload", "input", "enter", "set", "choose", "select", "your", "the", "a", "an", "step"];
/// Words that name the type of a value or the node that loads it: `Int (Steps)`, `Load Image (Reference Image)`.
const TYPES: &[&str] = &[
    "int",
    "integer",
    "float",
    "string",
    "text",
    "boolean",
    "bool",
    "number",
    "primitive",
    "value",
    "multiline",
    "load",
    "upload",
    "input",
    "image",
    "video",
    "audio",
    "mask",
    "replace",
];
/// Remarks that are no names: `Load Image (Optional)`.
const REMARKS: &[&str] = &["optional", "required", "multiline"];
const ORDINALS: &[&str] = &[
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
];

/// `second_image` for the second of several that have no name of their own.
pub fn ordinal(at: usize, base: &str) -> String {
    match ORDINALS.get(at) {
        Some(word) => format!("{word}_{base}"),
        None => format!("{base}_number_{}", at + 1),
    }
}

/// Makes an id from a name: lower-case letters, digits and underscores, cut at the end of a word.
pub fn identifier(name: &str) -> String {
    let id = plain(name);
    let end = if id.len() <= MAX_ID { id.len() } else { id[..MAX_ID].rfind('_').unwrap_or(MAX_ID) };
    spelt(&id[..end])
}

/// The part of a title that names the value: `Steps` of `Int (Steps)`, and else the whole title.
fn subject(title: &str) -> &str {
    let title = title.trim();
    let split = title.strip_suffix([')', '）']).and_then(|open| open.split_once(['(', '（']));
    let Some((before, inner)) = split else { return title };
    let words = plain(before);
    let inner = match inner.split_once('-') {
        Some((remark, rest)) if REMARKS.contains(&&*plain(remark)) => rest,
        _ => inner,
    };
    let inner = inner.trim().trim_end_matches(['?', '？']);
    let name = plain(inner);
    let only_a_type = !words.is_empty() && words.split('_').all(|word| TYPES.contains(&word));
    if only_a_type && !name.is_empty() && !REMARKS.contains(&&*name) { inner } else { title }
}

/// Returns the id for a title, without the verbs and numbers before its subject. Empty if nothing is left.
pub fn from_title(title: &str) -> String {
    let id = identifier(subject(title));
    let words: Vec<&str> = id.split('_').collect();
    let skipped =
        words.iter().take_while(|word| VERBS.contains(word) || word.bytes().all(|b| b.is_ascii_digit()));
    words[skipped.count()..].join("_")
}

/// Returns the label for a title: as the author wrote it, without the leading verb.
pub fn label_of_title(title: &str) -> String {
    let mut rest = subject(title);
    while let Some((first, after)) = rest.split_once(' ') {
        let word = first.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        if !matches!(word.as_str(), "load" | "upload") {
            break;
        }
        rest = after.trim_start();
    }
    let id = plain(rest);
    let corrected = spelt(&id);
    if corrected == id { label(rest) } else { humanised(&corrected) }
}

/// Returns a name as people write it: `negative_prompt` becomes `Negative prompt`; a name with spaces is unchanged.
pub fn humanised(name: &str) -> String {
    let words = name.replace(['_', '-', '.'], " ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let known = |word: &&str| match word.to_ascii_lowercase().as_str() {
        "cfg" => Some("CFG"),
        "fps" => Some("FPS"),
        "bpm" => Some("BPM"),
        "lora" => Some("LoRA"),
        "vae" => Some("VAE"),
        "3d" => Some("3D"),
        "pbr" => Some("PBR"),
        "timesignature" => Some("time signature"),
        "keyscale" => Some("key"),
        _ => None,
    };
    let words: Vec<&str> = words.iter().map(|word| known(word).unwrap_or(word)).collect();
    capitalised(&words.join(" "))
}

/// Returns a label of the editor for people: names with underscores become words.
pub fn label(text: &str) -> String {
    if text.contains('_') && !text.contains(' ') { humanised(text) } else { capitalised(text) }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.trim().chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns lower-case letters and digits, with an underscore for everything between them.
fn plain(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            id.push(c.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('_') && c != '\'' {
            id.push('_');
        }
    }
    id.truncate(id.trim_end_matches('_').len());
    id
}

/// Returns the known word with the same letters: `stpes` is `steps`.
fn spelt(id: &str) -> String {
    let letters = |word: &str| {
        let mut letters: Vec<u8> = word.bytes().collect();
        letters.sort_unstable();
        letters
    };
    if id.len() < 4 {
        return id.to_owned();
    }
    let same = |word: &&str| {
        word.len() == id.len() && word.as_bytes()[0] == id.as_bytes()[0] && letters(word) == letters(id)
    };
    roles::words().find(same).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_give_ids_and_labels() {
        for (title, id, label) in [
            ("Load Product Image", "product_image", "Product Image"),
            ("stpes", "steps", "Steps"),
            ("Step 1 - Load Image (Face)", "image_face", "Step 1 - Load Image (Face)"),
            ("🎨 Style", "style", "🎨 Style"),
            ("Int (Steps)", "steps", "Steps"),
            ("Boolean （Enable Turbo LoRA?）", "enable_turbo_lora", "Enable Turbo LoRA"),
            ("String (Multiline - Post Prompt)", "post_prompt", "Post Prompt"),
            ("Load Image (Reference Image)", "reference_image", "Reference Image"),
            ("Load Image (Optional)", "image_optional", "Image (Optional)"),
            ("Product (Front)", "product_front", "Product (Front)"),
            ("Start_image", "start_image", "Start image"),
            ("Person's name", "persons_name", "Person's name"),
            ("提示词", "", "提示词"),
            ("Load", "", "Load"),
        ] {
            assert_eq!((from_title(title).as_str(), label_of_title(title).as_str()), (id, label), "{title}");
        }
        assert_eq!(humanised("lora_strength"), "LoRA strength");
        assert_eq!(ordinal(1, "image"), "second_image");
        assert!(identifier(&"word ".repeat(40)).len() <= MAX_ID);
    }
}
