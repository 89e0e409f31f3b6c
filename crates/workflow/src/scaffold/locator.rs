//! The editor's references to nodes, in App mode, favourites and promoted widgets.

use percent_encoding::percent_decode_str;

/// A reference to a node, as ComfyUI's editor stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeReference<'r> {
    /// `12`: a node of the graph.
    Local(&'r str),
    /// `<graph uuid>:12:text`, a widget id: a node of the graph. Its parts are percent-encoded.
    Widget(String),
    /// `<subgraph uuid>:34`, a node locator: a node in every instance of that subgraph.
    InSubgraph { subgraph: &'r str, node: &'r str },
    /// `12:34`, an execution id: a node through instances. The prefix ends with a colon.
    Path { prefix: String, node: &'r str },
}

impl<'r> NodeReference<'r> {
    /// Reads a reference. `graph` is the graph's own id: an older file may have one that is not a UUID.
    pub fn parse(text: &'r str, graph: Option<&str>) -> Self {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [node] => Self::Local(node),
            [first, node, _] if is_uuid(first) || graph == Some(*first) => {
                Self::Widget(percent_decode_str(node).decode_utf8_lossy().into_owned())
            }
            [first, node] if is_uuid(first) => Self::InSubgraph { subgraph: first, node },
            [path @ .., node] => Self::Path { prefix: format!("{}:", path.join(":")), node },
            [] => Self::Local(text),
        }
    }
}

/// A widget that an instance shows of a node inside: an entry of `properties.proxyWidgets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyWidget {
    /// The node in the subgraph.
    pub node: String,
    /// The widget's name.
    pub widget: String,
    /// If that node is an instance too, the node within it that has the widget.
    pub source: Option<String>,
}

impl ProxyWidget {
    /// Creates the entry. Older files name the innermost node before the widget, `6: text`; later ones as a third value.
    pub fn new(node: String, name: &str, source: Option<String>) -> Self {
        let (mut widget, mut innermost) = (name.trim(), None);
        while let Some((id, rest)) = widget.split_once(':') {
            let id = id.trim();
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                break;
            }
            (innermost, widget) = (Some(id.to_owned()), rest.trim_start());
        }
        Self { node, widget: widget.to_owned(), source: innermost.or(source) }
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPH: &str = "e13112f7-3d09-4ae1-9e84-633a0627d945";

    #[test]
    fn references_are_told_apart_by_their_parts() {
        let path = |prefix: &str, node| NodeReference::Path { prefix: prefix.to_owned(), node };
        for (text, reference) in [
            ("12".to_owned(), NodeReference::Local("12")),
            ("12:34".to_owned(), path("12:", "34")),
            ("12:34:5".to_owned(), path("12:34:", "5")),
            (format!("{GRAPH}:34"), NodeReference::InSubgraph { subgraph: GRAPH, node: "34" }),
            (format!("{GRAPH}:12:model.size"), NodeReference::Widget("12".to_owned())),
            (format!("{GRAPH}:a%3Ab:text"), NodeReference::Widget("a:b".to_owned())),
            ("old:12:text".to_owned(), NodeReference::Widget("12".to_owned())),
        ] {
            assert_eq!(NodeReference::parse(&text, Some("old")), reference, "{text}");
        }
    }

    #[test]
    fn a_widget_of_a_nested_instance_names_the_innermost_node_before_or_after_it() {
        let entry = |name: &str, source: Option<&str>| {
            let entry = ProxyWidget::new("30".to_owned(), name, source.map(str::to_owned));
            (entry.widget, entry.source.unwrap_or_default())
        };
        assert_eq!(entry("text", None), ("text".to_owned(), String::new()));
        assert_eq!(entry("text", Some("6")), ("text".to_owned(), "6".to_owned()));
        assert_eq!(entry("31: 6: text", None), ("text".to_owned(), "6".to_owned()));
        assert_eq!(entry("ratio 16:9", None), ("ratio 16:9".to_owned(), String::new()));
    }
}
