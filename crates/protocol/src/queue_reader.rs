//! Reads `GET /queue` piece by piece. A queue holds the graph of every prompt, so it can be gigabytes; a job needs only
//! the ids and their order.

use crate::json;
use crate::queue::{Queue, QueueItem};

/// The longest key, number or id that is read, in bytes. Our ids are UUIDs.
const MAX_TOKEN: usize = 256;
/// The number of prompts that a queue may hold. It bounds the memory of a reader.
const MAX_PROMPTS: usize = 100_000;

/// An error in a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The input is not a queue.
    #[error("this is not a queue: {0}")]
    Shape(&'static str),
    /// The input ends within the queue.
    #[error("the queue is truncated")]
    Cut,
    /// The queue has too many prompts.
    #[error("the queue holds more than {MAX_PROMPTS} prompts")]
    TooMany,
}

/// A reader that takes a queue in pieces of any size and keeps ids and numbers only.
///
/// Graphs are skipped byte by byte: they use no memory, may have any depth, and need not be valid JSON (Python writes
/// `NaN` into them).
///
/// ```
/// use comfy_runner_protocol::queue::QueueReader;
///
/// let mut reader = QueueReader::default();
/// reader.feed(br#"{"queue_running": [[7, "first", {"1": {"inp"#)?;
/// reader.feed(br#"uts": {"a": NaN}}}, {}, []]], "queue_pending": []}"#)?;
/// assert!(reader.finish()?.is_running("first"));
/// # Ok::<(), comfy_runner_protocol::queue::QueueError>(())
/// ```
#[derive(Debug, Default)]
pub struct QueueReader {
    running: Option<Vec<QueueItem>>,
    pending: Option<Vec<QueueItem>>,
    /// The list that is being read.
    list: Option<List>,
    /// Brackets that are open: 1 in the object, 2 in a list, 3 in a prompt, more in its graph.
    depth: u64,
    /// The part of the object or of a prompt that comes next: 0 a key or a number, 1 a list or an id.
    part: usize,
    lexer: Lexer,
    /// The string or word that is being read. `None` if it is skipped.
    token: Option<Vec<u8>>,
    item: Option<QueueItem>,
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum List {
    Running,
    Pending,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Lexer {
    #[default]
    Between,
    String,
    /// After a backslash.
    Escape,
    Word,
}

impl QueueReader {
    /// Reads the next piece.
    ///
    /// # Errors
    /// Fails if the pieces so far cannot begin a queue.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), QueueError> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            match self.lexer {
                Lexer::Between => {
                    self.structure(byte)?;
                    at += 1;
                }
                Lexer::String => {
                    let rest = &piece[at..];
                    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
                    self.keep(&rest[..end]);
                    at += end;
                    if let Some(&byte) = piece.get(at) {
                        self.keep(&[byte]);
                        at += 1;
                        match byte {
                            b'\\' => self.lexer = Lexer::Escape,
                            _ => self.end_token()?,
                        }
                    }
                }
                Lexer::Escape => {
                    self.keep(&[byte]);
                    self.lexer = Lexer::String;
                    at += 1;
                }
                Lexer::Word => {
                    let rest = &piece[at..];
                    let end = rest.iter().position(|byte| ends_word(*byte)).unwrap_or(rest.len());
                    self.keep(&rest[..end]);
                    at += end;
                    if at < piece.len() {
                        self.end_token()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the queue after the last piece.
    ///
    /// # Errors
    /// Fails if the queue is truncated, or if one of its lists is missing.
    pub fn finish(self) -> Result<Queue, QueueError> {
        if !self.over {
            return Err(QueueError::Cut);
        }
        Ok(Queue {
            queue_running: self.running.ok_or(QueueError::Shape("`queue_running` is missing"))?,
            queue_pending: self.pending.ok_or(QueueError::Shape("`queue_pending` is missing"))?,
        })
    }

    fn structure(&mut self, byte: u8) -> Result<(), QueueError> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Ok(()),
            _ if self.over => return Err(QueueError::Shape("something follows it")),
            _ if self.depth == 0 && byte != b'{' => return Err(QueueError::Shape("it is not an object")),
            b'{' | b'[' => return self.open(byte),
            b'}' | b']' => return self.close(byte),
            b',' if self.depth == 1 => self.part = 0,
            b',' if self.depth == 3 => self.part += 1,
            b':' if self.depth == 1 => self.part = 1,
            b',' | b':' => {}
            _ => {
                self.must_not_be_a_list()?;
                self.lexer = if byte == b'"' { Lexer::String } else { Lexer::Word };
                let matters = match self.depth {
                    1 => self.part == 0,
                    3 => self.part <= 1 && self.item.is_some(),
                    _ => false,
                };
                self.token = matters.then(|| vec![byte]);
            }
        }
        Ok(())
    }

    fn open(&mut self, byte: u8) -> Result<(), QueueError> {
        match (self.depth, self.list) {
            (1, Some(_)) | (2, Some(_)) if byte != b'[' => self.must_not_be_a_list()?,
            (1, Some(list)) => {
                self.list_of(list).get_or_insert_default();
            }
            (2, Some(_)) => {
                self.item = Some(QueueItem { number: f64::NAN, prompt_id: String::new() });
                self.part = 0;
            }
            _ => {}
        }
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), QueueError> {
        let expected = match (self.depth, self.list) {
            (1, _) => Some(b'}'),
            (2 | 3, Some(_)) => Some(b']'),
            _ => None,
        };
        if expected.is_some_and(|expected| byte != expected) {
            return Err(QueueError::Shape("its brackets do not match"));
        }
        self.depth -= 1;
        match self.depth {
            0 => self.over = true,
            1 => self.list = None,
            2 => {
                if let (Some(item), Some(list)) = (self.item.take(), self.list) {
                    if self.prompts() == MAX_PROMPTS {
                        return Err(QueueError::TooMany);
                    }
                    self.list_of(list).get_or_insert_default().push(item);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Handles the string or word that has just been read.
    fn end_token(&mut self) -> Result<(), QueueError> {
        self.lexer = Lexer::Between;
        let Some(token) = self.token.take() else { return Ok(()) };
        match (self.depth, self.part, &mut self.item) {
            (1, ..) => {
                self.list = match &*token {
                    br#""queue_running""# => Some(List::Running),
                    br#""queue_pending""# => Some(List::Pending),
                    _ => None,
                };
            }
            (3, 0, Some(item)) => {
                let number = std::str::from_utf8(&token).ok().and_then(|number| number.parse().ok());
                item.number = number.unwrap_or(f64::NAN);
            }
            (3, 1, Some(item)) => item.prompt_id = json::from_slice(&token).unwrap_or_default(),
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        match &mut self.token {
            Some(token) if token.len() + bytes.len() <= MAX_TOKEN => token.extend_from_slice(bytes),
            _ => self.token = None,
        }
    }

    /// Returns an error if a list or a prompt is expected and the value is something else.
    fn must_not_be_a_list(&self) -> Result<(), QueueError> {
        match (self.depth, self.list) {
            (1, Some(List::Running)) => Err(QueueError::Shape("`queue_running` is not a list")),
            (1, Some(List::Pending)) => Err(QueueError::Shape("`queue_pending` is not a list")),
            (2, Some(_)) => Err(QueueError::Shape("one of its prompts is not a list")),
            _ => Ok(()),
        }
    }

    fn list_of(&mut self, list: List) -> &mut Option<Vec<QueueItem>> {
        match list {
            List::Running => &mut self.running,
            List::Pending => &mut self.pending,
        }
    }

    fn prompts(&self) -> usize {
        self.running.as_ref().map_or(0, Vec::len) + self.pending.as_ref().map_or(0, Vec::len)
    }
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Result<Queue, QueueError> {
        Queue::from_json(text.as_bytes())
    }

    #[test]
    fn prompts_of_others_may_hold_whatever_python_writes() {
        let queue = read(
            r#"{"queue_running": [[NaN, "a", {"1": {"inputs": {"seed": -Infinity, "text": "]}\"\\"}}}]],
                "other": {"queue_pending": [[3, "x"]]}, "more": [[4, "y"]],
                "queue_pending": [[null, 7], [-8.5, "b", []], [], [[1, "z"], {"2": "z"}], [9, "\u00e9\udc80"]]}"#,
        )
        .unwrap();
        assert!(queue.is_running("a") && queue.queue_running[0].number.is_nan());
        let ids: Vec<_> = queue.queue_pending.iter().map(|item| item.prompt_id.as_str()).collect();
        // A prompt whose id cannot be ours is still in the queue.
        assert_eq!(ids, ["", "b", "", "", "é\u{fffd}"]);
        assert_eq!(queue.queue_pending[1].number, -8.5);
    }

    #[test]
    fn what_is_no_queue_is_an_error() {
        for text in [
            "",
            "<html>",
            "[]",
            "{}",
            "null",
            "\"queue_running\"",
            r#"{"queue_running": []}"#,
            r#"{"queue_running": [], "queue_pending": null}"#,
            r#"{"queue_running": 3, "queue_pending": []}"#,
            r#"{"queue_running": {}, "queue_pending": []}"#,
            r#"{"queue_running": ["a"], "queue_pending": []}"#,
            r#"{"queue_running": [{}], "queue_pending": []}"#,
            r#"{"queue_running": [}, "queue_pending": []}"#,
            r#"{"queue_running": [[1, "a"}, "queue_pending": []}"#,
            r#"{"queue_running": [], "queue_pending": []} x"#,
            r#"{"queue_running": [], "queue_pending": []"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_endless_queue_is_refused_and_a_long_id_is_not_kept() {
        let mut reader = QueueReader::default();
        reader.feed(br#"{"queue_pending": ["#).unwrap();
        let fed = (0..=MAX_PROMPTS).try_for_each(|_| reader.feed(br#"[1, "a"],"#));
        assert_eq!(fed, Err(QueueError::TooMany));

        let mut reader = QueueReader::default();
        reader.feed(br#"{"queue_running": [], "queue_pending": [[1, ""#).unwrap();
        for _ in 0..1000 {
            reader.feed(&[b'x'; 1000]).unwrap();
            assert!(reader.token.as_ref().is_none_or(|token| token.capacity() <= 2 * MAX_TOKEN));
        }
        reader.feed(br#"", {}]]}"#).unwrap();
        assert_eq!(reader.finish().unwrap().queue_pending[0].prompt_id, "");
    }

    #[test]
    fn deep_graphs_cost_neither_memory_nor_stack() {
        let text = format!(
            r#"{{"queue_running": [[1, "a", {}{}]], "queue_pending": []}}"#,
            "[".repeat(1_000_000),
            "]".repeat(1_000_000)
        );
        assert!(read(&text).unwrap().is_running("a"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[queue_running\\PC\"\\\\\\[\\]{},:]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("queue_running|queue_pending|[\"\\\\\\]}]{0,3}", inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    fn any_list() -> impl Strategy<Value = Vec<(f64, String, Vec<Value>)>> {
        let prompt = (-1e9..1e9, "\\PC{0,40}", prop::collection::vec(any_json(), 0..4));
        prop::collection::vec(prompt, 0..6)
    }

    fn as_json(list: &[(f64, String, Vec<Value>)]) -> Value {
        list.iter()
            .map(|(number, id, rest)| {
                let mut prompt = vec![json!(number), json!(id)];
                prompt.extend(rest.iter().cloned());
                Value::from(prompt)
            })
            .collect()
    }

    fn as_items(list: &[(f64, String, Vec<Value>)]) -> Vec<QueueItem> {
        let item = |(number, id, _): &(f64, String, Vec<Value>)| QueueItem {
            number: *number,
            prompt_id: id.clone(),
        };
        list.iter().map(item).collect()
    }

    proptest! {
        #[test]
        fn any_queue_in_any_pieces_is_read_and_no_beginning_of_it_is(
            running in any_list(),
            pending in any_list(),
            other in any_json(),
            piece in 1_usize..40,
            cut in any::<prop::sample::Index>(),
        ) {
            let text = json!({"x": other, "queue_running": as_json(&running), "y": other,
                "queue_pending": as_json(&pending)}).to_string();
            let mut reader = QueueReader::default();
            for piece in text.as_bytes().chunks(piece) {
                reader.feed(piece).unwrap();
            }
            let expected = Queue { queue_running: as_items(&running), queue_pending: as_items(&pending) };
            prop_assert_eq!(reader.finish(), Ok(expected));
            let beginning = &text.as_bytes()[..cut.index(text.len())];
            prop_assert!(Queue::from_json(beginning).is_err());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{]?\"?[\\[\\]\\{\\}\":,a1 ]*") {
            let _ = Queue::from_json(&bytes);
            let _ = read(&text);
        }
    }
}
