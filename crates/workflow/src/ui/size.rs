//! How large a node is in the editor's pixels, so that nothing in it is cut off and its neighbours stay clear of it.
//!
//! The editor makes a node as large as its slots and widgets need; it measures texts with a font, we take a width for
//! each letter that its font does not exceed on average.

use comfy_runner_protocol::object_info::NodeSchema;
use serde_json::Value;

use super::drawn::{Drawn, Widget, is_textarea, uploads};

const SLOT: f64 = 20.0;
const WIDGET: f64 = 24.0;
const LETTER: f64 = 8.0;
const TEXT_LINE: f64 = 16.0;
/// How wide a text area is, and how many letters fit into a line of it.
const TEXT_AREA: (f64, usize) = (400.0, 54);
/// Room for a text that a node shows.
const PREVIEW: f64 = 100.0;
/// Room for the picture that a node shows.
const PICTURE: f64 = 260.0;

/// Width and height of a node's body, without its title bar.
pub(super) fn size(
    title: &str,
    drawn: &Drawn<'_>,
    outputs: &[String],
    schema: Option<&NodeSchema>,
) -> [u32; 2] {
    let text = |text: &str| text.chars().count() as f64 * LETTER;
    let sockets = || drawn.slots.iter().filter(|slot| !slot.widget);
    let widest = |widths: &mut dyn Iterator<Item = f64>| widths.fold(0.0, f64::max);
    let inputs = widest(&mut sockets().map(|slot| text(&slot.name)));
    let given = widest(&mut outputs.iter().map(|name| text(name)));
    let labels = widest(&mut drawn.widgets.iter().map(|widget| text(&widget.name) + value_width(widget)));
    let least: f64 = if drawn.widgets.is_empty() { 180.0 } else { 270.0 };
    let mut width = least.max(inputs + given + 2.0 * SLOT + 5.0).max((labels + 90.0).min(420.0));
    width = width.max((text(title) + 50.0).min(600.0));
    let mut height = sockets().count().max(outputs.len()).max(1) as f64 * SLOT + 14.0;
    for widget in &drawn.widgets {
        match widget.spec.as_deref() {
            Some(spec) if is_textarea(spec) => {
                width = width.max(TEXT_AREA.0);
                height += area_height(widget.value.as_ref());
            }
            None if widget.name == "preview" => height += PREVIEW,
            _ => height += WIDGET,
        }
    }
    if shows_picture(drawn, schema) {
        width = width.max(PICTURE + 20.0);
        height += PICTURE;
    }
    let whole = |length: f64| (length / 10.0).ceil() as u32 * 10;
    [whole(width), whole(height)]
}

/// The size of a note with this text.
pub(super) fn note_size(text: &str) -> [u32; 2] {
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

fn shows_picture(drawn: &Drawn<'_>, schema: Option<&NodeSchema>) -> bool {
    let uploaded = drawn.widgets.iter().any(|widget| widget.spec.as_deref().is_some_and(uploads));
    let shown = schema.is_some_and(|schema| schema.output_node)
        && drawn.slots.iter().any(|slot| matches!(&*slot.kind, "IMAGE" | "VIDEO" | "MASK"));
    uploaded || shown
}
