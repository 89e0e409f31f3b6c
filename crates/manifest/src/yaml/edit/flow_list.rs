//! Changes of lists within brackets.

use serde_json::Value;

use super::EditError;
use super::changes::Changes;
use super::match_items::matches;
use super::value::{Editor, Place};
use crate::yaml::tree::Item;
use crate::yaml::write;

impl Editor<'_> {
    /// Changes a list, neither empty nor to be empty. Items are known by their places: the comments within the brackets stay where they are.
    pub(super) fn flow_list(
        &self,
        items: &[Item],
        now: &[Value],
        wanted: &[Value],
        changes: &mut Changes,
    ) -> Result<(), EditError> {
        let matched = matches(now, wanted);
        for (at, value) in wanted.iter().enumerate() {
            let place = |item: &Item| Place { after: item.dash, indent: None };
            let Some(item) = items.get(at) else {
                let end = items[items.len() - 1].end(true);
                changes.insert(end, format!(", {}", self.flow_text(items, now, matched[at], value)?));
                continue;
            };
            if matched[at] == Some(at) {
                self.value(&item.value, place(item), &now[at], value, changes)?;
            } else {
                changes.replace(item.value.range.clone(), self.flow_text(items, now, matched[at], value)?);
            }
        }
        if wanted.len() < items.len() {
            changes.delete(items[wanted.len() - 1].end(true)..items[items.len() - 1].end(true));
        }
        Ok(())
    }

    /// Returns the text of an item: that of the item that becomes it, changed, or a new one.
    fn flow_text(
        &self,
        items: &[Item],
        now: &[Value],
        matched: Option<usize>,
        wanted: &Value,
    ) -> Result<String, EditError> {
        let Some(at) = matched else { return Ok(write::flow(wanted)) };
        let (item, mut changes) = (&items[at], Changes::default());
        let place = Place { after: item.dash, indent: None };
        self.value(&item.value, place, &now[at], wanted, &mut changes)?;
        let text = changes.apply(self.text, item.value.range.clone());
        // A comment would hide what follows.
        Ok(if text.contains('\n') { write::flow(wanted) } else { text })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{MANIFEST, edited};

    #[test]
    fn lists_within_brackets_keep_what_is_equal() {
        let text = edited(MANIFEST, |m| {
            m["required_models"] = json!(["b.safetensors", "c.safetensors", "a.safetensors"])
        });
        assert!(
            text.ends_with("required_models: [\"b.safetensors\", c.safetensors, a.safetensors]\n"),
            "{text}"
        );
        let text = edited(MANIFEST, |m| m["required_models"] = json!(["b.safetensors"]));
        assert!(text.ends_with("required_models: [\"b.safetensors\"]\n"), "{text}");
    }
}
