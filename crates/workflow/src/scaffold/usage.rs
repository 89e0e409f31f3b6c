//! What a loaded file is used for, by the names of the inputs that it reaches.

use std::collections::HashSet;

use super::detect::Detector;
use super::literal::is_partner_node;
use super::names;

/// How many nodes a value or file is followed through.
pub const MAX_STEPS: usize = 12;

impl Detector<'_> {
    /// What the file that this node loads is used for: the name of the first input that says more than `image`, and the
    /// number at its end.
    pub(super) fn usage(&self, node: &str) -> Option<(Option<String>, Option<usize>)> {
        let mut open = vec![node];
        let mut seen = HashSet::new();
        for _ in 0..MAX_STEPS {
            let mut next = Vec::new();
            for id in open {
                for (user, field, output) in self.users.get(id).into_iter().flatten() {
                    // The mask beside an image says nothing of the image, nor does a look at it.
                    if !seen.insert((*user, *field))
                        || !self.passes_media(id, *output, id == node)
                        || self.is_output(user)
                    {
                        continue;
                    }
                    let name = field.rsplit('.').next().unwrap_or(field);
                    let word = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
                    let number = name[word.len()..].trim_start_matches('_').parse().ok();
                    if !is_general(word) {
                        return Some((Some(names::identifier(word)), number));
                    }
                    if number.is_some() {
                        return Some((None, number));
                    }
                    next.push(*user);
                }
            }
            open = next;
        }
        None
    }

    /// Whether this output of a node carries the file on: any of a node in between, the first of the one that loads it.
    fn passes_media(&self, node: &str, output: usize, loads: bool) -> bool {
        const MEDIA: [&str; 6] =
            ["IMAGE", "MASK", "VIDEO", "AUDIO", "CLIP_VISION_OUTPUT", "COMFY_MATCHTYPE_V3"];
        let schema = self.graph.node(node).and_then(|node| self.schemas.get(&node.class_type));
        let kind = schema.and_then(|schema| schema.output.get(output));
        kind.is_some_and(|kind| MEDIA.contains(&kind.as_str())) && (!loads || output == 0)
    }

    fn is_output(&self, node: &str) -> bool {
        let schema = self.graph.node(node).and_then(|node| self.schemas.get(&node.class_type));
        schema.is_some_and(|schema| schema.output_node && !is_partner_node(schema))
    }
}

/// Input names that do not say what a file is for.
fn is_general(word: &str) -> bool {
    if word.starts_with("clip_vision") {
        return true;
    }
    const GENERAL: [&str; 26] = [
        "image",
        "images",
        "pixels",
        "input",
        "video",
        "audio",
        "mask",
        "value",
        "source",
        "file",
        "files",
        "video_frames",
        "samples",
        "on_true",
        "on_false",
        "any",
        "frames",
        "latent",
        "destination",
        "model",
        "latent_image",
        "video_latent",
        "image_a",
        "positive",
        "input_image",
        "alpha",
    ];
    GENERAL.contains(&word)
}
