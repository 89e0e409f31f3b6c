//! The error sentence for callers when a node fails. It says what failed and where, and nothing about the server.

use comfy_runner_protocol::message::ExecutionError;

/// The longest message. Longer ones are cut: some nodes print whole tensors.
const MAX_MESSAGE_CHARS: usize = 1000;

/// Returns the sentence for callers: `node "Title" (Type) failed: ValueError: it broke`. It contains no traceback, and only
/// the file names of the server's paths. `title` is the node's title, if it is known.
pub fn failure_text(error: &ExecutionError, title: Option<&str>) -> String {
    let mut text = match (title, error.node_type.as_str()) {
        (Some(title), class) if !class.is_empty() && class != title => format!("node \"{title}\" ({class})"),
        (Some(title), _) => format!("node \"{title}\""),
        (None, "") => "the prompt".to_owned(),
        (None, class) => format!("a node of type {class}"),
    };
    text.push_str(" failed");
    let exception = error.exception_type.rsplit('.').next().unwrap_or_default();
    let message = public_message(&error.exception_message);
    for part in [exception, &message] {
        if !part.is_empty() {
            text.push_str(": ");
            text.push_str(part);
        }
    }
    text
}

/// Returns an exception's message without tracebacks and folders of the server.
fn public_message(message: &str) -> String {
    let message = message.split("Traceback (most recent call last)").next().unwrap_or_default().trim();
    let mut public = without_folders(message);
    if let Some((end, _)) = public.char_indices().nth(MAX_MESSAGE_CHARS) {
        public.truncate(end);
        public.push('…');
    }
    public
}

/// Replaces every absolute path by its last part.
fn without_folders(text: &str) -> String {
    let mut public = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(char) = rest.chars().next() {
        let starts_a_word =
            before.is_none_or(|before: char| !(before.is_alphanumeric() || "/\\:._-".contains(before)));
        if starts_a_word && is_absolute(rest) {
            let end = path_end(rest, before);
            let path = rest[..end].trim_end_matches(['/', '\\']);
            let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
            public.push_str(if name.is_empty() { "…" } else { name });
            rest = &rest[end..];
            before = Some('/');
        } else {
            public.push(char);
            rest = &rest[char.len_utf8()..];
            before = Some(char);
        }
    }
    public
}

/// Returns whether the text begins with `/folder/...`, `C:\...`, `C:/...`, `\\server\...` or `file:///...`.
fn is_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [b'/', next, ..] => {
            let first_part = text[1..].find(|c: char| c == '/' || c.is_whitespace());
            *next != b'/' && first_part.is_some_and(|at| text.as_bytes()[1 + at] == b'/')
        }
        [b'\\', b'\\', next, ..] => next.is_ascii_alphanumeric(),
        [drive, b':', b'\\' | b'/', next, ..] => drive.is_ascii_alphabetic() && *next != b'/',
        _ => text.starts_with("file://"),
    }
}

/// Returns where a path ends: at the quote that matches the one before it, else at the first blank or bracket.
fn path_end(text: &str, before: Option<char>) -> usize {
    let quote = before.filter(|quote| "'\"`".contains(*quote));
    let end = match quote {
        Some(quote) => text.find(quote),
        None => None,
    };
    end.or_else(|| text.find(|c: char| c.is_whitespace() || "'\"`()<>[]{},;|".contains(c)))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: &str, message: &str) -> ExecutionError {
        serde_json::from_value(serde_json::json!({
            "node_id": "5", "node_type": "Breaks", "exception_type": kind, "exception_message": message,
            "traceback": ["  File \"/root/ComfyUI/execution.py\", line 1"],
        }))
        .unwrap()
    }

    #[test]
    fn the_sentence_names_the_node_by_title_and_type_and_what_it_said() {
        let it_broke = error("ValueError", "it broke\n");
        assert_eq!(
            failure_text(&it_broke, Some("My node")),
            "node \"My node\" (Breaks) failed: ValueError: it broke"
        );
        assert_eq!(failure_text(&it_broke, Some("Breaks")), "node \"Breaks\" failed: ValueError: it broke");
        let out_of_memory = error("torch.cuda.OutOfMemoryError", "");
        assert_eq!(failure_text(&out_of_memory, None), "a node of type Breaks failed: OutOfMemoryError");
    }

    #[test]
    fn folders_of_the_server_are_left_out_and_the_files_name_stays() {
        for (message, public) in [
            ("No such file: '/home/jo/My Models/a.ckpt'", "No such file: 'a.ckpt'"),
            ("cannot open /root/ComfyUI/input/cat.png, sorry", "cannot open cat.png, sorry"),
            (r"C:\Users\Jo\x.png is bad", "x.png is bad"),
            (r"in \\nas\share\x.png", "in x.png"),
            ("file:///root/secret/x", "x"),
            ("(/tmp/a/)", "(a)"),
            (
                "ratio 16/9 and 1/2/3, see https://example.org/a/b",
                "ratio 16/9 and 1/2/3, see https://example.org/a/b",
            ),
            ("a / b, and /prompt", "a / b, and /prompt"),
            ("boom\nTraceback (most recent call last):\n  File \"/a/b.py\"", "boom"),
        ] {
            assert_eq!(public_message(message), public);
        }
    }

    #[test]
    fn a_message_of_megabytes_is_cut() {
        assert_eq!(public_message(&"ü".repeat(100_000)).chars().count(), MAX_MESSAGE_CHARS + 1);
    }

    proptest::proptest! {
        #[test]
        fn no_message_makes_it_panic(message: String) {
            let _ = public_message(&message);
        }

        #[test]
        fn no_absolute_path_of_letters_gets_through(folders in "(/[a-z]{3,8}){2,5}", name in "[a-z]{1,8}\\.py", lead in "[ \"'(=]") {
            let public = public_message(&format!("x{lead}{folders}/{name}"));
            proptest::prop_assert!(!public.contains('/') && public.ends_with(&name), "{}", public);
        }
    }
}
