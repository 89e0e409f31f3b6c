//! The size of a node in the editor's pixels.
//!
//! The editor fits a node to its slots and widgets, and measures strings with a font. This module assumes a width for each
//! letter that the font does not exceed on average.

use comfy_runner_protocol::object_info::NodeSchema;
use serde_json::Value;

use crate::widgets::{EditorNode, Widget, is_textarea, uploads};

const SLOT: f64 = 20.0;
const WIDGET: f64 = 24.0;
const LETTER: f64 = 8.0;
const TEXT_LINE: f64 = 16.0;
/// The width of a text area, and the number of letters in a line of it.
const TEXT_AREA: (f64, usize) = (400.0, 54);
/// The height of a text preview.
const PREVIEW: f64 = 100.0;
/// The size of an image preview.
const IMAGE: f64 = 260.0;

/// Returns the width and height of a node's body, without its title bar.
pub(crate) fn size(
    title: &str,
    node: &EditorNode<'_>,
    outputs: &[String],
    schema: Option<&NodeSchema>,
) -> [u32; 2] {
    let text = |text: &str| text.chars().count() as f64 * LETTER;
    let sockets = || node.slots.iter().filter(|slot| !slot.widget);
    let widest = |widths: &mut dyn Iterator<Item = f64>| widths.fold(0.0, f64::max);
    let inputs = widest(&mut sockets().map(|slot| text(&slot.name)));
    let given = widest(&mut outputs.iter().map(|name| text(name)));
    let labels = widest(&mut node.widgets.iter().map(|widget| text(&widget.name) + value_width(widget)));
    let least: f64 = if node.widgets.is_empty() { 180.0 } else { 270.0 };
    let mut width = least.max(inputs + given + 2.0 * SLOT + 5.0).max((labels + 90.0).min(420.0));
    width = width.max((text(title) + 50.0).min(600.0));
    let mut height = sockets().count().max(outputs.len()).max(1) as f64 * SLOT + 14.0;
    for widget in &node.widgets {
        match widget.spec.as_deref() {
            Some(spec) if is_textarea(spec) => {
                width = width.max(TEXT_AREA.0);
                height += area_height(widget.value.as_ref());
            }
            None if widget.name == "preview" => height += PREVIEW,
            _ => height += WIDGET,
        }
    }
    if shows_image(node, schema) {
        width = width.max(IMAGE + 20.0);
        height += IMAGE;
    }
    let whole = |length: f64| (length / 10.0).ceil() as u32 * 10;
    [whole(width), whole(height)]
}

/// Returns the size of a note with this text.
pub(crate) fn note_size(text: &str) -> [u32; 2] {
    const WIDTH: u32 = 480;
    let lines: usize =
        text.lines().filter(|line| !line.is_empty()).map(|line| line.chars().count() / 70 + 1).sum();
    [WIDTH, 100 + 22 * u32::try_from(lines).unwrap_or(u32::MAX).min(60)]
}

fn value_width(widget: &Widget<'_>) -> f64 {
    match &widget.value {
        Some(Value::String(text)) => (text.chars().count() as f64 * LETTER).min(200.0),
        _ => 60.0,
    }
}

fn area_height(value: Option<&Value>) -> f64 {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    let lines: usize = text.lines().map(|line| line.chars().count() / TEXT_AREA.1 + 1).sum();
    ((lines + 1) as f64 * TEXT_LINE).clamp(80.0, 320.0)
}

fn shows_image(node: &EditorNode<'_>, schema: Option<&NodeSchema>) -> bool {
    let uploaded = node.widgets.iter().any(|widget| widget.spec.as_deref().is_some_and(uploads));
    let shown = schema.is_some_and(|schema| schema.output_node)
        && node.slots.iter().any(|slot| matches!(&*slot.kind, "IMAGE" | "VIDEO" | "MASK"));
    uploaded || shown
}
